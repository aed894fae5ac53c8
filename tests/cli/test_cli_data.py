"""What plan, a dry run and a run say of a study's data before anything slow is imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from calling import assert_refused, call, settings

CONTEXT = "Here lives Bo."


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "out"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Five paragraphs without titles, two questions on each."""
    path = tmp_path / "rows.jsonl"
    lines = [
        json.dumps({"context": f"{CONTEXT} {n}", "question": question, "answers": "Bo"})
        for n in range(5)
        for question in ("Who?", "Who is it?")
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


WRONG = {
    "missing": (None, "no file "),
    "broken": ('{"context": ', "own.jsonl:1: Invalid JSON"),
    "keys": ('{"context": "a", "question": "b", "answer": "c"}', "did you mean 'answers'"),
    "one paragraph": (
        f'{{"context": "{CONTEXT}", "question": "Who?", "answers": "Bo"}}',
        "one paragraph, 'own/0', which cannot be split",
    ),
}


@pytest.mark.parametrize("command", [("plan",), ("run", "--dry-run"), ("run",)], ids=" ".join)
@pytest.mark.parametrize("wrong", WRONG)
def test_data_that_cannot_be_used_are_named_by_every_command(
    file: Path, out: Path, tmp_path: Path, command: tuple[str, ...], wrong: str
) -> None:
    text, said = WRONG[wrong]
    own = tmp_path / "own.jsonl"
    if text:
        own.write_text(text, encoding="utf-8")
    ended = call(*command, file, "--out", out, *settings(f"data.train={json.dumps(str(own))}"))
    assert_refused(ended, said, str(own) if wrong != "one paragraph" else "")
    assert not out.exists()


def test_a_run_reads_data_before_torch_is_imported(file: Path) -> None:
    code = (
        "import sys\n"
        "from lorasweep.cli.main import main\n"
        "try:\n    main()\n"
        "finally:\n    print('torch' in sys.modules)\n"
    )
    arguments = ["run", str(file), "--set", 'data.train="nowhere.json"']
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "False\n")
    assert "no file nowhere.json" in ended.stderr


def test_the_plan_counts_questions_after_the_split(file: Path, rows: Path) -> None:
    flags = settings(
        f"data.train={json.dumps(str(rows))}", f"data.test={json.dumps(str(rows))}",
        "data.num_train=4", "data.num_eval=3",
    )  # fmt: skip
    ended = call("plan", file, *flags)
    assert (
        "questions: train 4 on 2 paragraphs of 1 article; eval 4 on 2 paragraphs of 1 article; "
        "test 10 on 5 paragraphs of 1 article (train data split by paragraph)"
    ) in " ".join(ended.out.split())
    planned = json.loads(call("plan", file, *flags, "--json").out)
    counts = {"questions": 4, "paragraphs": 2, "articles": 1, "unanswerable": 0}
    assert planned["data"]["train"] == planned["data"]["eval"] == counts
    assert planned["data"]["test"]["questions"] == 10
    assert "contexts that stand in both the train and the test questions: 2" in planned["warnings"]


def test_the_plan_says_how_many_questions_there_are_where_more_are_wanted(file: Path) -> None:
    ended = call("plan", file, *settings("data.num_train=100000"))
    assert "data.num_train = 100000, but there are only 275 train" in " ".join(ended.out.split())


def test_the_plan_of_hub_data_reads_the_files_beside_them(file: Path, rows: Path) -> None:
    hub = 'data.eval="hub:own/set:validation"'
    ended = call("plan", file, *settings(hub, f"data.train={json.dumps(str(rows))}"))
    assert "questions: some are on the Hub" in ended.out
    assert_refused(call("plan", file, *settings(hub, "data.train=nowhere.json")), "no file nowhere")


NAMING_A_FOLDER = [
    ("run", "quickstart", "--out"), ("plan", "quickstart", "--out"), ("status",), ("report",)
]  # fmt: skip


@pytest.mark.parametrize("command", NAMING_A_FOLDER, ids=" ".join)
@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_no_folder(
    command: tuple[str, ...], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused(call(*command, name), "a folder's name is empty")
    assert not list(tmp_path.iterdir())
