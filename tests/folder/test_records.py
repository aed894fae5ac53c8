from typing import get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from lorasweep.folder.records import (
    SCHEMA,
    EvalEntry,
    HistoryEntry,
    Lock,
    LossesByParagraph,
    Results,
    RunRecord,
    StepEntry,
)
from lorasweep.folder.scores import Prediction, Scores, eval_loss_of, scores_of
from tiny import make_base, make_lock, make_record, make_scores


def test_metrics_are_told_apart_by_name() -> None:
    metrics = make_record("a", 12.5).metrics
    scores = scores_of(metrics, "greedy")
    assert scores == make_scores(12.5)
    assert scores_of(metrics, "eval_loss") is None
    assert scores_of(metrics, "beam") is None
    assert eval_loss_of(metrics) == 2.0
    assert eval_loss_of({}) is None


def test_records_and_locks_round_trip_through_json() -> None:
    for record in (make_record("a", 12.5), make_record("b", None, state="failed", train_loss=None)):
        assert RunRecord.model_validate_json(record.model_dump_json()) == record
    lock = make_lock("a", "b")
    assert Lock.model_validate_json(lock.model_dump_json()) == lock


def test_results_go_by_the_key_schema_on_disk() -> None:
    results = Results(
        study="tiny", base=make_base(), runs=[], configurations=[], warnings=[], data={},
        recipe={}, prompt="", versions={},
    )  # fmt: skip
    assert results.model_dump(by_alias=True)["schema"] == SCHEMA == 2


def test_records_are_immutable_and_take_no_unknown_keys() -> None:
    record = make_record("a", 1.0)
    with pytest.raises(ValidationError, match="frozen"):
        record.state = "failed"
    with pytest.raises(ValidationError, match="extra"):
        make_record("a", 1.0, nonsense=1)
    with pytest.raises(ValidationError, match="state"):
        make_record("a", 1.0, state="lost")


@pytest.mark.parametrize("f1", [float("nan"), 2.0, -0.5])
def test_scores_of_an_answer_lie_between_0_and_1(f1: float) -> None:
    with pytest.raises(ValidationError, match="f1"):
        Prediction(
            id="q", article="a", paragraph="a/0", question="?", prediction="x", answers=["y"],
            ended=True, num_tokens=1, exact_match=0.0, f1=f1,
        )  # fmt: skip


def test_every_paragraph_has_a_loss() -> None:
    with pytest.raises(ValidationError, match="not as many losses as paragraphs"):
        LossesByParagraph(
            paragraphs=["a/0", "a/1"], articles=["a", "a"], num_answer_tokens=[1, 2], losses=[0.5]
        )


def test_a_line_of_history_is_a_step_or_an_evaluation() -> None:
    entry: TypeAdapter[StepEntry | EvalEntry] = TypeAdapter(HistoryEntry)
    lines = [
        StepEntry(step=0, epoch=0, loss=1.5, grad_norm=0.5, lr=1e-3, num_questions=8,
                  num_answer_tokens=30),
        EvalEntry(step=1, epoch=0, eval_loss=2.5),
    ]  # fmt: skip
    assert {type(line) for line in lines} == set(get_args(get_args(HistoryEntry)[0]))
    assert [entry.validate_json(line.model_dump_json()) for line in lines] == lines


def test_labels_are_bounded() -> None:
    record = make_record("a", 1.0).model_dump()
    RunRecord.model_validate({**record, "label": "x" * 1000})
    with pytest.raises(ValidationError):
        RunRecord.model_validate({**record, "label": "x" * 1001})


def test_an_interval_of_width_0_of_an_older_record_is_none() -> None:
    written = make_scores(50.0).model_dump() | {
        "f1_interval": (0.0, 0.0), "exact_match_interval": (40.0, 60.0)
    }  # fmt: skip
    found = Scores.model_validate(written)
    assert (found.rank.interval, found.scores["exact_match"].interval) == (None, (40.0, 60.0))
