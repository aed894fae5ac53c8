"""Why any run's answers are wrong, beside another's, on the command line."""

import json
from pathlib import Path

import pytest

from calling import assert_refused, call
from lorasweep import Results
from lorasweep.folder.store import Store


def test_as_json_every_answer_is_counted_for_both(gpt2_study: Path, results: Results) -> None:
    first, second = results.runs
    found = json.loads(
        call("failures", gpt2_study, "--run", first.label, "--against", second.id, "--json").out
    )
    assert (found["run"], found["against"]) == (first.label, second.label)
    scores = first.metrics["greedy"]
    assert not isinstance(scores, float)
    for each in found["breakdowns"]:
        for side in ("run", "against"):
            assert sum(group["count"] for group in each[side]) == scores.num_questions
    changes = found["changes"]
    outcomes = ("became_right", "became_wrong", "stayed_right", "stayed_wrong")
    assert sum(changes[outcome] for outcome in outcomes) == scores.num_questions


def test_for_people_beside_the_base_model(gpt2_study: Path, results: Results) -> None:
    text = call("failures", gpt2_study, "--run", results.runs[0].id).out
    assert "by failure" in text
    assert f"From base model to {results.runs[0].label}: " in text
    assert " instead of " in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--run", "r4 lr9"), "no run 'r4 lr9' in tiny"),
        (("--run", "base", "--decoder", "gredy"), "no answers by 'gredy'"),
        (("--decoder", "beam-4"), "; known: greedy"),
        (("--run", "Base"), "base model would stand beside itself"),
        (("--run", "best", "--against", "best"), "would stand beside itself"),
    ],
)
def test_mistakes(gpt2_study: Path, options: tuple[str, ...], said: str) -> None:
    assert_refused(call("failures", gpt2_study, *options), said)


def test_the_best_run_is_the_default_and_the_base_model_may_come_first(
    gpt2_study: Path, results: Results
) -> None:
    best = results.names[results.chosen or ""]
    assert f"From base model to {best}: " in call("failures", gpt2_study).out
    turned = call("failures", gpt2_study, "--run", "base", "--against", best.upper())
    assert f"From {best} to base model: " in turned.out


def test_answers_that_are_gone_are_named(copied_study: Path, results: Results) -> None:
    file = Store(copied_study).of_run(results.chosen or "").predictions_file("greedy")
    file.unlink()
    assert_refused(
        call("failures", copied_study),
        f"{file}: the answers are gone; `lorasweep run STUDY --out {copied_study}`",
    )


def test_runs_on_other_questions_are_not_set_beside_each_other(
    copied_study: Path, results: Results
) -> None:
    store = Store(copied_study)
    files = store.of_run(results.runs[0].id)
    rows = files.read_predictions("greedy")
    files.write_predictions("greedy", rows[1:])
    store.write_run(results.runs[0].model_copy(update={"files": {}}))
    ended = call("failures", copied_study, "--run", results.runs[0].id)
    assert_refused(ended, "answered other questions")
