"""The wheel by itself, without what developers have: it plans, trains, reports and exports."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import lorasweep

pytestmark = pytest.mark.slow

ROOT, PACKAGE = Path(__file__).parents[1], Path(lorasweep.__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CONSTRAINTS = ROOT / "constraints.txt"
# A file of each kind that the package reads beside its modules.
DATA_FILES = (
    "data/corpus/01-ostrel-haven.json", "data/corpus/named/chat.jsonl",
    "data/corpus/named/choice.csv", "finished/sharing/card.md",
    "hub/configs/openai-community__gpt2.json", "py.typed", "report/fonts/Vazirmatn.ttf",
    "report/fonts/Vazirmatn-OFL.txt", "report/templates/page.html", "report/templates/style.css",
    "report/templates/page.js", "report/words/strings/fa.toml", "study/shipped/report75.toml",
)  # fmt: skip


def call(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder; what is set for Python here neither shows it modules nor slows it.

    Modules are compiled when they are first imported, and the next call finds them so.
    """
    seen = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(words, capture_output=True, text=True, cwd=folder, env=seen)


def output(*words: str | Path, folder: Path) -> str:
    """Return what a program prints; it must succeed."""
    ended = call(*words, folder=folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def plain(requirement: str) -> str:
    """Return the name in a requirement, written in the one way that names are compared in."""
    name = re.match(r"[\w.-]+", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name[0]).lower()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as `make wheel` builds it with the tools of this environment."""
    folder, tools = tmp_path_factory.mktemp("dist"), Path(sys.executable).parent
    output("make", "--old-file", ".venv/.installed", "wheel", f"BIN={tools}", f"DIST={folder}",
           folder=ROOT)  # fmt: skip
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The programs of a fresh environment that the wheel alone was asked for in."""
    folder = tmp_path_factory.mktemp("environment")
    output(sys.executable, "-m", "venv", folder, folder=ROOT)
    # Compiling every module of torch and its like would take longer than installing them.
    install = [folder / "bin/pip", "install", "--quiet", "--no-compile", "-c", CONSTRAINTS]
    output(*install, "torch", folder=ROOT)
    output(*install, wheel, folder=ROOT)
    yield folder / "bin"
    shutil.rmtree(folder)  # more than a gigabyte, which pytest would keep


@pytest.fixture(scope="module")
def finished(programs: Path, file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny study, run by the wheel from an empty folder."""
    folder = tmp_path_factory.mktemp("empty")
    output(programs / "lorasweep", "run", file, folder=folder)
    return folder / "out" / "tiny"


def test_it_holds_every_file_of_the_package(wheel: Path) -> None:
    files = (path for path in PACKAGE.rglob("*") if path.is_file())
    sources = {str(path.relative_to(PACKAGE)) for path in files if "__pycache__" not in path.parts}
    assert set(DATA_FILES) < sources
    held = zipfile.ZipFile(wheel).namelist()
    assert {name for name in held if ".dist-info/" not in name} == {
        f"lorasweep/{source}" for source in sources
    }
    licences = {name.partition("/licenses/")[2] for name in held if "/licenses/" in name}
    assert licences == set(PROJECT["license-files"])


def test_no_package_of_developers_is_there(programs: Path, tmp_path: Path) -> None:
    listed = json.loads(output(programs / "pip", "list", "--format", "json", folder=tmp_path))
    installed = {plain(each["name"]): each["version"].partition("+")[0] for each in listed}
    assert installed["lorasweep"] == PROJECT["version"]
    assert {plain(each) for each in PROJECT["dependencies"]} <= installed.keys()
    extras = {plain(each) for group in PROJECT["optional-dependencies"].values() for each in group}
    assert {"pytest", "mypy", "gradio", "ray"} < extras
    assert installed.keys() & extras == {"lorasweep"}  # named by its own extra "dev"
    pins = (line.split("==") for line in CONSTRAINTS.read_text().splitlines() if "==" in line)
    pinned = {plain(name): version for name, version in pins}
    assert {name: pinned[name] for name in installed.keys() & pinned.keys()}.items() <= (
        installed.items()
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--help", "Train a whole grid of LoRA adapters at once"),
        ("plan report75", "report75: 75 configurations, 50 runs"),
        ("models list", "smollm2-135m"),
    ],
)
def test_it_answers_in_an_empty_folder(
    programs: Path, tmp_path: Path, words: str, said: str
) -> None:
    assert said in output(programs / "lorasweep", *words.split(), folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_python_has_the_names_that_the_readme_shows(programs: Path, tmp_path: Path) -> None:
    code = "from lorasweep import Results, Study, UserError, resume, run; print(run.__module__)"
    assert output(programs / "python", "-c", code, folder=tmp_path) == "lorasweep.running.driver\n"


def test_a_study_is_trained_scored_and_reported(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text("utf-8"))
    assert [run["state"] for run in results["runs"]] == ["done"] * 4
    records = {path.parent.name for path in finished.glob("runs/*/record.json")}
    assert records == {run["id"] for run in results["runs"]}
    assert (finished / "report/index.html").stat().st_size > 10_000


def test_its_report_is_in_persian_too_and_a_run_has_a_card(programs: Path, finished: Path) -> None:
    output(programs / "lorasweep", "report", finished, "--lang", "fa", folder=finished)
    assert 'lang="fa" dir="rtl"' in (finished / "report/fa/index.html").read_text("utf-8")
    label = json.loads((finished / "results.json").read_text("utf-8"))["runs"][0]["label"]
    output(programs / "lorasweep", "export", finished, "--run", label, folder=finished)
    (card,) = finished.glob("exports/*/README.md")
    assert label in card.read_text("utf-8")


def test_what_an_extra_brings_is_asked_for_by_its_name(
    programs: Path, file: Path, tmp_path: Path
) -> None:
    ended = call(programs / "lorasweep", "run", file, "--executor", "ray", folder=tmp_path)
    assert ended.returncode == 2
    assert "pip install 'lorasweep-VERSION-py3-none-any.whl[ray]'" in ended.stderr
