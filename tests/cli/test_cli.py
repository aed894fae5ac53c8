"""The command line as users meet it: what is printed, what is written, exit codes."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from calling import Ended, assert_refused, call, settings
from lorasweep.cli.main import app
from lorasweep.running import driver
from lorasweep.study.study import shipped_studies

HEAVY = ("altair", "datasets", "pandas", "pyarrow", "scipy", "torch", "transformers")


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


def test_json_is_the_results_alone(finished: Finished) -> None:
    assert finished.ended.code == 0
    assert json.loads(finished.ended.out) == json.loads((finished.out / "results.json").read_text())


def test_progress_and_warnings_go_to_standard_error(finished: Finished) -> None:
    err = finished.ended.err
    assert "warning: " in err
    assert "loading " in err
    assert "pack 1 of 2: train 2 runs: done in " in err
    assert "pack-1: 2 lanes, 2 of 2 packs to run" in err
    assert "Traceback" not in err


def test_a_finished_study_prints_its_leaderboard(file: Path, finished: Finished) -> None:
    ended = call("run", file, "--out", finished.out)
    assert ended.code == 0
    assert all(f"r{rank} lr{lr} attn" in ended.out for rank in (2, 4) for lr in ("1e-3", "3e-3"))
    assert "base model" in ended.out
    assert "│ * r" in ended.out
    assert "* No run gives a right answer: exact match is 0 on all questions." in ended.out
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
    monkeypatch.setattr(driver, "run", lambda study, out, *_, **__: asked.append(out))
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


def test_the_report_is_written_in_the_language_that_is_asked_for(
    finished: Finished, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(finished.out, tmp_path / "copy"))
    page = folder / "report" / "fa" / "index.html"
    ended = call("report", folder, "--lang", "fa")
    assert (ended.code, ended.err) == (0, "")
    assert '<html lang="fa" dir="rtl">' in page.read_text(encoding="utf-8")
    wrong = call("report", folder, "--lang", "fr")
    assert wrong.code == 2
    assert "no report in language 'fr'" in wrong.err
    assert "fa" in wrong.err
    assert '<html lang="fa" dir="rtl">' in page.read_text(encoding="utf-8")


def test_a_study_is_analysed_anew_without_training(finished: Finished, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished.out, tmp_path / "copy"))
    before = json.loads((folder / "results.json").read_text())
    assert before["analysis"]["decoders"]["greedy"]["failures"]
    (folder / "results.json").write_text(json.dumps({**before, "analysis": None}))
    shutil.rmtree(folder / "report")
    ended = call("analyse", folder)
    assert (ended.code, ended.err) == (0, "")
    assert "* No run gives a right answer: " in ended.out
    assert "so its score is optimistic" in ended.out
    assert json.loads((folder / "results.json").read_text()) == before
    assert (folder / "report" / "index.html").is_file()
    assert json.loads(call("analyse", folder, "--json").out) == before


def test_a_folder_without_results_is_not_analysed(tmp_path: Path) -> None:
    assert_refused(call("analyse", tmp_path / "none"), "no results in")
    assert not (tmp_path / "none").exists()


def test_decoders_join_a_finished_study(finished: Finished, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(finished.out, tmp_path / "copy"))
    ended = call("decode", folder, "--decoder", "span", "--decoder", "top-k-3")
    assert ended.code == 0
    assert all(f"tiny, {name} decoding" in ended.out for name in ("span", "top-k-3"))
    assert "greedy decoding" not in ended.out
    assert sum(line.startswith("* ") for line in ended.out.splitlines()) == 2, "one a decoder"
    again = call("decode", folder, "--decoder", "span", "--json", "--quiet")
    assert json.loads(again.out) == json.loads((folder / "results.json").read_text())
    assert "span" in json.loads(again.out)["base"]["metrics"]
    assert_refused(call("decode", folder, "--decoder", "spam"), "did you mean 'span'?")
    assert_refused(call("decode", tmp_path / "none", "--decoder", "span"), "no study in ")


def test_models_path_prints_a_local_folder(file: Path) -> None:
    model = file.parent / "model"
    assert call("models", "path", model) == Ended(0, f"{model}\n", "")


@pytest.mark.parametrize("name", shipped_studies())
def test_every_shipped_study_dry_runs(name: str, out: Path) -> None:
    ended = call("run", name, "--dry-run", "--out", out)
    assert (ended.code, ended.err) == (0, "")
    assert f"{name}: " in " ".join(ended.out.split())
    assert not out.exists()


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["plan", "--help"], ["run", "--help"], ["plan", "quickstart"],
     ["run", "full-vs-lora", "--dry-run"],
     ["plan", "report75", "--json"]],
    ids=" ".join,
)  # fmt: skip
def test_help_and_plan_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from lorasweep.cli.main import main\n"
        "try:\n    main()\n"
        "finally:\n    print(*sys.modules, file=sys.stderr)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert ended.stdout
    modules = set(ended.stderr.split())
    assert "lorasweep.cli.main" in modules
    assert not set(HEAVY) & modules


def test_help_names_every_command_and_says_something_of_each() -> None:
    text = call("--help").out
    for command in app.registered_commands:
        assert command.callback is not None
        assert f"  {command.name}  " in text
        assert command.callback.__doc__


@pytest.mark.parametrize("words", [("-h",), ("models", "-h")])
def test_no_help_in_a_list_of_commands_is_cut(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ended = call(*words)
    assert ended.code == 0
    assert "..." not in ended.out.partition("Commands:")[2]


def test_the_version_is_said() -> None:
    assert call("--version").out == f"lorasweep {version('lorasweep')}\n"


def test_tab_completes_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_LORASWEEP_COMPLETE", "complete_bash"), ("COMP_CWORD", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COMP_WORDS", "lorasweep re")
    assert call().out.split() == ["resume", "report"]


def test_another_studys_folder_is_refused(file: Path, finished: Finished) -> None:
    ended = call("run", file, "--out", finished.out, "--quiet", *settings("recipe.epochs=2"))
    assert_refused(ended, f"{finished.out} was made with another recipe.epochs: 1, now 2")


def test_an_interruption_is_exit_code_130_and_says_that_nothing_is_lost(
    file: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(driver, "run", interrupt)
    ended = call("run", file, "--out", out)
    assert (ended.code, ended.out) == (130, "")
    assert ended.err == "stopped: what is finished is kept; the same command goes on\n"
