"""Reading Hub data sets: a local folder laid out as one, and no network."""

import json
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pyarrow
import pyarrow.parquet
import pytest

from asked import Placed
from lorasweep.data.squad.sources import load
from lorasweep.errors import UserError

CONTEXT = "Ada wrote to Bob. Bob answered Ada."


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep `datasets` off the network, and its cache in the test's own folder."""
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_MODULES_CACHE", str(tmp_path / "modules"))


def hub_row(question_id: str, **changes: Any) -> dict[str, Any]:
    """A row in the schema of SQuAD on the Hub."""
    answers = {"text": ["Ada"], "answer_start": [0]}
    row = {"id": question_id, "title": "Letters", "context": CONTEXT, "question": "Who wrote?"}
    return {**row, "answers": answers, **changes}


def write_parquet(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows where the Hub's layout has its train split."""
    (folder / "data").mkdir(parents=True)
    table = pyarrow.Table.from_pylist(rows)
    pyarrow.parquet.write_table(table, folder / "data" / "train-00000-of-00001.parquet")


def test_local_folder_of_parquet(tmp_path: Path) -> None:
    no_answers = {"text": [], "answer_start": []}
    rows = [
        hub_row("q1"),
        hub_row("q2", answers=no_answers),
        hub_row("q3", title="Other"),
        hub_row("q4"),
    ]
    write_parquet(tmp_path / "own" / "letters", rows)
    source = f"hub:{tmp_path}/own/letters:train"
    dataset = load([source])
    letters, other = dataset.groups
    assert [q.id for q in letters.examples] == ["q1", "q4"]
    assert letters.examples[0].placed == (Placed("Ada", 0),)
    assert (letters.id, other.id) == ("Letters/0", "Other/0")
    assert (dataset.sources, dataset.unanswerable) == ((source,), 1)
    assert load([f"hub:{tmp_path}/own/letters:default:train[:1]"]).num_examples == 1


def test_local_folder_of_json_lines_without_ids(tmp_path: Path) -> None:
    (tmp_path / "letters" / "data").mkdir(parents=True)
    row = {"context": CONTEXT, "question": "Who wrote?", "answers": "Bob"}
    file = tmp_path / "letters" / "data" / "train-00000-of-00001.jsonl"
    file.write_text(json.dumps(row) + "\n", encoding="utf-8")
    (paragraph,) = load([f"hub:{tmp_path}/letters:train"]).groups
    assert (paragraph.id, paragraph.examples[0].id) == ("letters/0", "letters-0")
    assert paragraph.examples[0].placed == (Placed("Bob", 13),)


@pytest.mark.parametrize(
    ("split", "message"),
    [("test", "Unknown split"), ("nope:train", "'nope' not found")],
)
def test_unknown_split_or_configuration(tmp_path: Path, split: str, message: str) -> None:
    write_parquet(tmp_path / "letters", [hub_row("q1")])
    with pytest.raises(UserError, match=f"hub:.*letters:{split}: .*{message}"):
        load([f"hub:{tmp_path}/letters:{split}"])


def test_wrong_field_names(tmp_path: Path) -> None:
    write_parquet(tmp_path / "letters", [{"passage": CONTEXT, "question": "Who?", "answers": "A"}])
    message = r"row 0: 'context' is missing \(found: passage, question, answers\)"
    with pytest.raises(UserError, match=message):
        load([f"hub:{tmp_path}/letters:train"])


def test_start_that_does_not_match(tmp_path: Path) -> None:
    answers = {"text": ["Ada"], "answer_start": [1]}
    write_parquet(tmp_path / "letters", [hub_row("q1", answers=answers)])
    with pytest.raises(UserError, match="row 0: question 'q1': answer_start 1 does not match"):
        load([f"hub:{tmp_path}/letters:train"])


def test_broken_file(tmp_path: Path) -> None:
    (tmp_path / "letters" / "data").mkdir(parents=True)
    (tmp_path / "letters" / "data" / "train-00000-of-00001.parquet").write_bytes(b"not parquet")
    with pytest.raises(UserError, match=r"hub:.*letters:train: "):
        load([f"hub:{tmp_path}/letters:train"])


def test_no_network_says_how_to_work_offline() -> None:
    with pytest.raises(UserError, match=r"hub:own/set:train: .*HF_HUB_OFFLINE=1 .*local folder"):
        load(["hub:own/set:train"])


def test_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"hub:.*nowhere:train: "):
        load([f"hub:{tmp_path}/nowhere:train"])
