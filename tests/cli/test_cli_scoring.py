"""The commands `score` and `compare`: what they print, and one message for a mistake."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorasweep.cli.main import main
from lorasweep.data.squad.sources import load

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def lorasweep(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process: exit code, standard output, standard error."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lorasweep", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return run


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions of two systems for the bundled questions; the second knows fewer answers."""
    questions = [q for paragraph in load(["bundled"]).groups for q in paragraph.examples]
    paths = []
    for name, every in (("good", 7), ("poor", 2)):
        answers = {
            question.id: "no idea" if number % every == 0 else question.references[0]
            for number, question in enumerate(questions)
        }
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps(answers))
    return paths[0], paths[1]


def test_articles_are_taken_for_independent_on_request(
    lorasweep: Run, files: tuple[Path, Path]
) -> None:
    dataset = load(["bundled"])
    num_articles = len({paragraph.source for paragraph in dataset.groups})
    by_article = "--clusters", "article"
    _, out, _ = lorasweep("score", files[0], "bundled", "--json", *by_article)
    scored = json.loads(out)
    assert (scored["clusters"], scored["num_articles"]) == ("article", num_articles)
    _, plain, _ = lorasweep("score", files[0], "bundled", "--json")
    assert json.loads(plain)["f1_interval"] != scored["f1_interval"]
    assert json.loads(plain)["f1"] == scored["f1"]
    _, out, _ = lorasweep("compare", *files, "--data", "bundled", "--json", *by_article)
    compared = json.loads(out)
    assert compared["num_articles"] == num_articles
    assert f"in {num_articles} articles" in compared["sentences"][0]
    _, out, _ = lorasweep("score", files[0], "bundled", *by_article)
    # Where lines are folded depends on how long the files' names are.
    assert f"{num_articles} articles" in " ".join(out.split())
    assert "by resampling articles" in out


def test_score_as_json(lorasweep: Run, files: tuple[Path, Path]) -> None:
    code, out, err = lorasweep("score", files[0], "bundled", "--json")
    scored: dict[str, Any] = json.loads(out)
    assert (code, err) == (0, "")
    assert scored.keys() >= {
        "exact_match", "f1", "total", "exact_match_interval", "f1_interval", "missing", "unknown",
        "num_paragraphs", "design_effect",
    }  # fmt: skip
    dataset = load(["bundled"])
    assert scored["total"] == dataset.num_examples
    assert scored["num_paragraphs"] == len(dataset.groups)
    assert scored["exact_match"] == pytest.approx(600 / 7, abs=0.5)
    low, high = scored["exact_match_interval"]
    assert low < scored["exact_match"] < high
    assert scored["missing"] == scored["unknown"] == scored["warnings"] == []


def test_score_for_people(lorasweep: Run, files: tuple[Path, Path]) -> None:
    answers = json.loads(files[0].read_text())
    answers["[bold]\ud800"] = answers.pop(next(iter(answers)))
    files[0].write_text(json.dumps(answers))
    code, out, _ = lorasweep("score", files[0], "bundled")
    assert code == 0
    for part in ("EM", "F1", "design effect", "Wilson", "no prediction for 1 of", "[bold]"):
        assert part in out


def test_compare_as_json(lorasweep: Run, files: tuple[Path, Path]) -> None:
    code, out, _ = lorasweep("compare", *files, "--data", "bundled", "--json")
    compared: dict[str, Any] = json.loads(out)
    assert code == 0
    for metric in ("f1", "em"):
        low, high = compared[f"{metric}_interval"]
        assert 0 < low < compared[f"{metric}_difference"] < high
        assert compared[f"{metric}_p_value"] <= compared[f"{metric}_adjusted_p_value"] < 0.05
        assert compared["power"][metric]["smallest_difference"] > 0
    assert compared["mcnemar_p_value"] < 0.05
    assert compared["sentences"][0].startswith("good is ")
    assert compared["total"] == compared["a"]["total"] == compared["b"]["total"]
    parts = compared["a"]["exact_match"] - compared["b"]["exact_match"]
    assert compared["em_difference"] == pytest.approx(parts)


def test_compare_for_people(lorasweep: Run, files: tuple[Path, Path]) -> None:
    code, out, _ = lorasweep("compare", *files, "--data", "bundled")
    assert code == 0
    for part in ("A = good, B = poor", "p (Holm)", "better than poor", "McNemar", "80 %"):
        assert part in out


@pytest.mark.parametrize(
    ("content", "message"),
    [('{"x": null}', "the answer of 'x' is null"), ('{"x": "y"}', "none of its ids is in bundled")],
)
def test_a_mistake_is_one_message_and_exit_code_2(
    lorasweep: Run, files: tuple[Path, Path], content: str, message: str
) -> None:
    files[1].write_text(content)
    for command in (("score", files[1], "bundled"), ("compare", *files, "--data", "bundled")):
        code, out, err = lorasweep(*command, "--json")
        assert (code, out) == (2, "")
        assert err.startswith("error: ")
        assert message in err
        assert err.count("\n") == 1


def test_data_that_is_none(lorasweep: Run, files: tuple[Path, Path]) -> None:
    code, _, err = lorasweep("score", files[0], files[1])
    assert code == 2
    assert "'data' is missing" in err


def test_scoring_imports_no_torch() -> None:
    code = (
        "import sys, lorasweep.cli.main, lorasweep.cli.scoring_text\n"
        "import lorasweep.scoring.failures.breakdown\n"
        "assert not {'torch', 'transformers', 'pandas', 'scipy'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rules_are_named_where_they_are_not_the_default(
    lorasweep: Run, files: tuple[Path, Path], tmp_path: Path
) -> None:
    _, plain, _ = lorasweep("score", files[0], "bundled")
    assert "by the rules" not in plain
    code, out, _ = lorasweep("score", files[0], "bundled", "--rules", "mlqa:en")
    assert code == 0
    assert "by the rules mlqa:en: MLQA's script for answers in 'en'" in " ".join(out.split())
    _, out, _ = lorasweep("compare", *files, "--data", "bundled", "--rules", "korquad")
    assert "by the rules korquad: KorQuAD 1.0's script" in " ".join(out.split())
    rows = [{"id": "a", "context": "a mill", "question": "?", "answers": "mill"},
            {"id": "b", "context": "a mill", "question": "??", "answers": None}]  # fmt: skip
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "p.json").write_text('{"a": "mill", "b": "mill"}')
    _, out, _ = lorasweep(
        "score", tmp_path / "p.json", tmp_path / "rows.jsonl", "--rules", "squad-v2"
    )
    said = " ".join(out.split())
    assert "of 1 questions with an answer: EM 100.00, F1 100.00" in said
    assert "of 1 questions without one: EM 0.00, F1 0.00" in said


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("squad2", "error: --rules: no rules 'squad2'; did you mean 'squad-v2'?"),
        ("mlqa:fa", "error: --rules: mlqa knows no answers in 'fa', as mlqa:ar"),
    ],
)
def test_wrong_rules_are_one_message(
    lorasweep: Run, files: tuple[Path, Path], name: str, message: str
) -> None:
    for command in (("score", files[0], "bundled"), ("compare", *files, "--data", "bundled")):
        code, out, err = lorasweep(*command, "--rules", name)
        assert (code, out) == (2, "")
        assert err.startswith(message)
        assert err.count("\n") == 1
