"""The command line as users meet it: exit codes, messages, what is printed and what is written."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

import tiny
from lorasweep import cli, driver

HEAVY = ("altair", "datasets", "pandas", "pyarrow", "scipy", "torch", "transformers")


@dataclass(frozen=True)
class Ended:
    """How a call of the command line ended."""

    code: Any
    out: str
    err: str


def call(*arguments: str | Path) -> Ended:
    """Run `lorasweep ARGUMENTS` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["lorasweep", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as ended:
            return Ended(ended.code, out.getvalue(), err.getvalue())
    raise AssertionError("main always exits")


def settings(*overrides: str) -> list[str]:
    return [word for override in overrides for word in ("--set", override)]


@pytest.fixture(scope="module")
def file(
    tmp_path_factory: pytest.TempPathFactory, make_model: Callable[..., Any], tokenizer: Any
) -> Path:
    return tiny.write_study(tmp_path_factory.mktemp("tiny"), make_model("gpt2"), tokenizer)


@dataclass(frozen=True)
class Finished:
    """A study that was run with --json, and what that printed."""

    out: Path
    ended: Ended


@pytest.fixture(scope="module")
def finished(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    out = tmp_path_factory.mktemp("finished") / "out"
    return Finished(out, call("run", file, "--out", out, "--json"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "out"


def assert_refused(ended: Ended, *said: str) -> None:
    """Check for exit code 2 and one line that says what is wrong."""
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert all(part in ended.err for part in said), ended.err


# ---------------------------------------------------------------- what a good call prints


def test_json_is_the_results_alone(finished: Finished) -> None:
    assert finished.ended.code == 0
    assert json.loads(finished.ended.out) == json.loads((finished.out / "results.json").read_text())


def test_progress_and_warnings_go_to_standard_error(finished: Finished) -> None:
    err = finished.ended.err
    assert "warning: " in err
    assert "loading " in err
    assert "pack-0: train r2 lr1e-3 attn, r2 lr3e-3 attn: done in " in err
    assert "pack-1: 2 lanes, 2 of 2 packs to run" in err
    assert "Traceback" not in err


def test_a_finished_study_prints_its_leaderboard(file: Path, finished: Finished) -> None:
    ended = call("run", file, "--out", finished.out)
    assert ended.code == 0
    assert all(f"r{rank} lr{lr} attn" in ended.out for rank in (2, 4) for lr in ("1e-3", "3e-3"))
    assert "base model" in ended.out
    assert f"report: {finished.out / 'report' / 'index.html'}" in ended.out
    assert "loading" not in ended.err


def test_quiet_prints_nothing(file: Path, finished: Finished) -> None:
    assert call("run", file, "--out", finished.out, "--quiet") == Ended(0, "", "")
    ended = call("run", file, "--out", finished.out, "--quiet", "--json")
    assert json.loads(ended.out)["study"] == "tiny"


def test_the_default_folder_is_out_and_the_studys_name(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(driver, "run", lambda study, out, reporter: asked.append(out))
    call("run", file, "--quiet")
    call("run", file, "--quiet", "--set", "name=other")
    assert asked == [Path("out/tiny"), Path("out/other")]


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_dry_run_prints_the_plan_and_writes_nothing(
    file: Path, out: Path, flags: tuple[str, ...]
) -> None:
    ended = call("run", file, "--out", out, "--dry-run", *flags)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == call("plan", file, *flags).out
    assert "r4 lr3e-3 attn" in ended.out
    assert not out.exists()


def test_the_plan_names_what_repeats() -> None:
    ended = call("plan", "report75")
    assert ended.code == 0
    assert "report75: 75 configurations, 50 runs, 13 packs" in " ".join(ended.out.split())
    assert "25 of 75 configurations share another's run" in ended.out
    planned = json.loads(call("plan", "report75", "--json").out)
    assert (len(planned["configurations"]), len(planned["runs"])) == (75, 50)


def test_the_report_is_written_anew(finished: Finished, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished.out, tmp_path / "copy"))
    shutil.rmtree(folder / "report")
    ended = call("report", folder)
    assert (ended.code, ended.err) == (0, "")
    assert Path(ended.out.strip()).is_relative_to(folder)
    assert (folder / "report" / "index.html").is_file()


def test_models_path_prints_a_local_folder(file: Path) -> None:
    model = file.parent / "model"
    assert call("models", "path", model) == Ended(0, f"{model}\n", "")


# ---------------------------------------------------------------- what starts without torch


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["plan", "--help"], ["run", "--help"], ["plan", "quickstart"],
     ["run", "quickstart", "--dry-run"], ["plan", "report75", "--json"]],
    ids=" ".join,
)  # fmt: skip
def test_help_and_plan_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from lorasweep.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print(*sys.modules, file=sys.stderr)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert ended.stdout
    modules = set(ended.stderr.split())
    assert "lorasweep.cli" in modules
    assert not set(HEAVY) & modules


def test_help_names_every_command_and_says_something_of_each() -> None:
    text = call("--help").out
    for command in cli.app.registered_commands:
        assert command.callback is not None
        assert f"  {command.callback.__name__}  " in text
        assert command.callback.__doc__


# ---------------------------------------------------------------- users' mistakes


def test_as_a_program_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "lorasweep", "run", "no-such-study"],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: no study 'no-such-study': no such file")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rank =", "rnk =", "unknown key 'grid.0.rnk'; did you mean 'rank'?"),
        ("[recipe]", "[recpe]", "unknown key 'recpe'; did you mean 'recipe'?"),
        ("num_train = 12", 'num_train = "12"', "data.num_train = '12': Input should be a valid"),
        ("lr = [", "lr = [nan, ", "grid.0.lr.0 = nan: Input should be a finite number"),
        ("rank = [2, 4]", "rank = [2", "not valid TOML"),
    ],
)
def test_a_wrong_study_file_is_refused(
    file: Path, tmp_path: Path, out: Path, old: str, new: str, said: str
) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(file.read_text().replace(old, new))
    assert_refused(call("run", wrong, "--out", out), str(wrong), said)
    assert_refused(call("plan", wrong), str(wrong), said)
    assert not out.exists()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("grid.targets=q_proj", ["targets 'q_proj'", "attn.c_attn, attn.c_proj, mlp.c_fc"]),
        ('grid.targets=["attn", "c_atn"]', ["targets 'c_atn'", "did you mean 'c_attn'?"]),
        ("grid.alpha=3x", ["grid.0.alpha.0 = '3x': alpha is a number above 0"]),
        ("data.max_tokens=9999", ["data.max_tokens = 9999: ", "knows 512 positions"]),
        ("model.base=./nothing", ["no model 'nothing': no such folder or alias"]),
        ("model.base=smollm2-135", ["did you mean 'smollm2-135m'?"]),
        ("recipe", ["--set recipe: expected section.key=value"]),
    ],
)
def test_a_wrong_value_is_refused(file: Path, out: Path, override: str, said: list[str]) -> None:
    assert_refused(call("run", file, "--out", out, *settings(override)), *said)
    assert not out.exists()


def spoil_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def own_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "x.Y"}}))


def pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (spoil_config, "config.json is not valid JSON"),
        (own_code, "the model brings its own Python code"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no weights to load"),
        (pickle_only, "pytorch_model.bin is a pickle"),
    ],
    ids=["no config", "broken config", "own code", "no weights", "pickle"],
)
def test_a_wrong_model_folder_is_refused(
    file: Path, tmp_path: Path, out: Path, spoil: Callable[[Path], None], said: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(file.parent / "model", folder)
    spoil(folder)
    ended = call("run", file, "--out", out, *settings(f"model.base={folder}"))
    assert_refused(ended, str(folder), said)
    assert not out.exists()


def test_weights_that_do_not_load_are_refused(file: Path, tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(file.parent / "model", folder)
    cut_weights(folder)
    ended = call("run", file, "--out", out, "--quiet", *settings(f"model.base={folder}"))
    assert_refused(ended, f"{folder}: transformers cannot load this model")
    assert set(os.listdir(out)) <= {".busy"}


def test_a_hub_name_without_a_network_is_refused(
    file: Path, tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    ended = call("run", file, "--out", out, *settings("model.base=some/model"))
    assert_refused(ended, "some/model: not in the Hub's cache", "models pull smollm2-135m")
    assert not out.exists()


def squad(*questions: tuple[str, str, int]) -> str:
    """Return a SQuAD file of two articles: (id, answer, answer_start) each."""
    qas = [
        {"id": i, "question": "Who?", "answers": [{"text": text, "answer_start": start}]}
        for i, text, start in questions
    ]
    articles = [
        {"title": f"A{n}", "paragraphs": [{"context": "Here lives Bo.", "qas": [q]}]}
        for n, q in enumerate(qas)
    ]
    return json.dumps({"version": "1.1", "data": articles})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty"),
        ("[1, 2]", "questions.json: "),
        ('{"questions": []}', "'data' is missing (found: questions)"),
        ('{"data": [', "questions.json: "),
        (squad(("q1", "Bo", 11), ("q2", "Bo", 3)), "question 'q2': answer_start 3 does not match"),
        (squad(("q1", "Bo", 11), ("q1", "Bo", 11)), "question id 'q1' occurs twice"),
        (squad(("q1", "Bo", 11)), "one article, 'A0', which cannot be split"),
    ],
    ids=["empty", "a list", "other JSON", "broken", "wrong start", "repeated id", "one article"],
)
def test_wrong_questions_are_refused(
    file: Path, tmp_path: Path, out: Path, content: str, said: str
) -> None:
    questions = tmp_path / "questions.json"
    questions.write_text(content)
    ended = call("run", file, "--out", out, *settings(f"data.train={questions}"))
    assert_refused(ended, said)
    assert not out.exists()


def test_questions_that_are_not_there_name_the_nearest_file(
    file: Path, tmp_path: Path, out: Path
) -> None:
    (tmp_path / "questions.json").write_text("")
    ended = call("run", file, "--out", out, *settings(f"data.train={tmp_path / 'question.json'}"))
    assert_refused(ended, "did you mean 'questions.json'?")


def test_another_studys_folder_is_refused(file: Path, finished: Finished) -> None:
    ended = call("run", file, "--out", finished.out, "--quiet", *settings("recipe.epochs=2"))
    assert_refused(ended, f"{finished.out} was made with another recipe.epochs: 1, now 2")


def test_a_file_is_no_folder(file: Path) -> None:
    assert_refused(call("run", file, "--out", file, "--quiet"), "this is a file")
    assert_refused(call("report", file), "this is a file")


def test_a_folder_without_results_has_no_report(tmp_path: Path) -> None:
    assert_refused(call("report", tmp_path), f"no results in {tmp_path}: run `lorasweep run")
    assert_refused(call("report", tmp_path / "none"), "no results in ")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "quickstart", "--flag"], "No such option: --flag"),
        (["nothing"], "No such command 'nothing'"),
        (["run"], "Missing argument"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], said: str) -> None:
    ended = call(*arguments)
    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err


def test_an_interruption_is_exit_code_130_and_says_that_nothing_is_lost(
    file: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(driver, "run", interrupt)
    ended = call("run", file, "--out", out)
    assert (ended.code, ended.out) == (130, "")
    assert ended.err == "stopped: what is finished is kept; the same command goes on\n"
