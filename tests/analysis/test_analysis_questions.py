"""The questions of a finished study are read again, or it is said why they cannot be."""

import json
from pathlib import Path

import pytest

from lorasweep.analysis.questions import questions_of
from lorasweep.data.examples import fingerprint_of
from lorasweep.data.selection import select
from lorasweep.errors import UserError
from lorasweep.folder.records import DataCard, Lock
from lorasweep.study.study import Study
from tiny import make_card, make_lock


def write_rows(file: Path, answer: str) -> None:
    rows = [{"context": f"{answer} lives here.", "question": "Who?", "answers": [answer]}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "eval.jsonl"
    write_rows(file, "Bo")
    return file


@pytest.fixture
def study(file: Path) -> Study:
    data = {"train": "bundled", "eval": [str(file)], "num_train": 10}
    return Study.parse({"name": "s", "model": {"base": "gpt2"}, "data": data, "grid": [{}]})


@pytest.fixture
def lock(study: Study) -> Lock:
    return make_lock("a").model_copy(update={"study": study.model_dump(mode="json")})


@pytest.fixture
def card(study: Study) -> DataCard:
    fingerprint = fingerprint_of(select(study.data).eval)
    return make_card().model_copy(update={"fingerprint": fingerprint})


def test_the_evaluation_questions_come_back(lock: Lock, card: DataCard) -> None:
    (paragraph,) = questions_of(lock, card)
    assert paragraph.context == "Bo lives here."


def test_changed_data_is_refused(lock: Lock, card: DataCard, file: Path) -> None:
    write_rows(file, "Al")
    with pytest.raises(UserError, match="no longer the questions that the runs were scored on"):
        questions_of(lock, card)


def test_missing_data_is_named(lock: Lock, card: DataCard, file: Path) -> None:
    file.unlink()
    with pytest.raises(UserError, match=str(file)):
        questions_of(lock, card)
