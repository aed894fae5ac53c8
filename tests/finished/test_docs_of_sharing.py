"""The commands in the pages on export, asking, the app and trackers, run as they stand there."""

import shlex
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from calling import call
from lorasweep import Results
from lorasweep.app import page as app_page
from lorasweep.folder.store import Store

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("sharing.md", "app.md", "trackers.md")


def commands(page: str) -> list[list[str]]:
    lines = (DOCS / page).read_text("utf-8").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith("lorasweep ")]


class Hub:
    """Stands in for the Hub."""

    def create_repo(self, repo_id: str, **settings: Any) -> str:
        return repo_id

    def upload_folder(self, **settings: Any) -> None:
        assert (settings["folder_path"] / "README.md").is_file()


@pytest.fixture
def like_the_docs(
    copied_study: Path, results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """A folder as the pages take it for granted; returns this study's words for theirs."""
    (tmp_path / "out").rename(tmp_path / "study")
    (tmp_path / "out").mkdir()
    (tmp_path / "study").rename(tmp_path / "out" / "quickstart")
    run = results.runs[0]
    shutil.copytree(Store(tmp_path / "out/quickstart").of_run(run.id).adapter_folder,
                    tmp_path / "their-adapter")  # fmt: skip
    (tmp_path / "mill.txt").write_text("The mill at Orrin burned twice.")
    shutil.copy(Path(results.base.name).parent / "tiny.toml", tmp_path / "my-study.toml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    return {"r16 lr2e-3 attn": run.label, "r4 lr2e-3 attn": results.runs[1].label}


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run(
    page: str, like_the_docs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if page == "app.md":
        # Nothing of gradio's is left open: test_app.py has the page itself.
        monkeypatch.setattr(app_page, "serve", lambda folder, host, port, say: None)
    if page == "trackers.md":
        pytest.importorskip("tensorboard")
    found = commands(page)
    assert found
    for words in found:
        ended = call(*(like_the_docs.get(word, word) for word in words))
        assert ended.code == 0, (words, ended.err)
