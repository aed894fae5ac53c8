"""Questions without an answer: SQuAD v2.0's totals, thresholds by hand, by trial, and official."""

import json
import random
from pathlib import Path

import pytest

from lorasweep.scoring.rules.listed import parse_rules
from lorasweep.scoring.rules.no_answers import (
    METRICS,
    Marked,
    best,
    best_threshold,
    totals,
    with_thresholds_of,
)

RIGHT = Marked(1, 1, has_answer=True, is_answered=True, no_answer_probability=0.1)
HALF = Marked(0, 0.5, has_answer=True, is_answered=True, no_answer_probability=0.6)
SILENT = Marked(1, 1, has_answer=False, is_answered=False, no_answer_probability=0.3)
INVENTED = Marked(0, 0, has_answer=False, is_answered=True, no_answer_probability=0.9)


def test_totals_by_hand() -> None:
    found = totals([RIGHT, HALF, SILENT, INVENTED])
    assert found == {
        "exact": 50, "f1": 62.5, "total": 4, "HasAns_exact": 50, "HasAns_f1": 75, "HasAns_total": 2,
        "NoAns_exact": 50, "NoAns_f1": 50, "NoAns_total": 2,
    }  # fmt: skip
    assert json.loads(json.dumps(found)) == found
    above = totals([RIGHT, HALF, SILENT, INVENTED], threshold=0.6)
    assert (above["f1"], above["NoAns_f1"]) == (87.5, 100), "0.6 itself is still answered"
    below = totals([RIGHT, HALF, SILENT, INVENTED], threshold=0.5)
    assert (below["HasAns_f1"], below["NoAns_f1"]) == (50, 100)


def test_a_part_without_questions_is_left_out() -> None:
    assert set(totals([RIGHT])) == {"exact", "f1", "total", *(f"HasAns_{key}" for key in (
        "exact", "f1", "total"))}  # fmt: skip
    with pytest.raises(ValueError):
        totals([])


def test_best_by_hand() -> None:
    assert best([RIGHT, HALF, SILENT, INVENTED]) == {
        "best_exact": 75, "best_exact_thresh": 0.1, "best_f1": 87.5, "best_f1_thresh": 0.6,
    }  # fmt: skip
    assert best([INVENTED]) == {
        "best_exact": 100, "best_exact_thresh": 0, "best_f1": 100, "best_f1_thresh": 0,
    }  # fmt: skip


def invented(rng: random.Random, num: int) -> list[Marked]:
    """Questions of distinct probabilities, those without an answer rather higher ones."""
    found = []
    for number in range(num):
        has_answer = rng.random() < 0.6
        is_answered = rng.random() < 0.8
        f1 = round(rng.random(), 2) if has_answer and is_answered else float(
            not has_answer and not is_answered)  # fmt: skip
        probability = (rng.random() + (not has_answer)) / 2 + number * 1e-9
        found.append(Marked(float(f1 == 1), f1, has_answer, is_answered, probability))
    return found


def test_the_best_threshold_is_the_best_of_all_that_could_be_tried() -> None:
    rng = random.Random(3)
    for _ in range(40):
        questions = invented(rng, rng.randint(1, 30))
        tried = [-1.0, *(question.no_answer_probability for question in questions)]
        found = best(questions)
        for metric in METRICS:
            highest = max(totals(questions, threshold)[metric] for threshold in tried)
            assert found[f"best_{metric}"] == pytest.approx(highest, abs=1e-9)


def test_a_threshold_of_training_questions_is_used_on_others() -> None:
    rng = random.Random(4)
    training, questions = invented(rng, 200), invented(rng, 100)
    found = with_thresholds_of(training, questions)
    for metric in METRICS:
        threshold = best_threshold(training, metric)
        assert threshold == best(training)[f"best_{metric}_thresh"]
        assert found[metric] == {"threshold": threshold, **totals(questions, threshold)}
        assert found[metric][metric] <= best(questions)[f"best_{metric}"] + 1e-9


def test_the_official_script_agrees(shared: Path) -> None:
    file = shared / "data" / "qa-rules" / "squad-v2-totals.json"
    if not file.is_file():
        pytest.skip("needs the official scripts' totals in ../shared/data/qa-rules")
    official = json.loads(file.read_text(encoding="utf-8"))
    rules = parse_rules("squad-v2")
    questions = [
        Marked(
            exact=rules.exact_match(asked["prediction"], asked["references"]),
            f1=rules.f1(asked["prediction"], asked["references"]),
            has_answer=bool(asked["references"]),
            is_answered=asked["prediction"] != "",
            no_answer_probability=asked["no_answer_probability"],
        )
        for asked in official["questions"]
    ]
    expected = official["totals"]
    assert totals(questions) == expected["threshold 1.0"]
    assert totals(questions, 0.5) == expected["threshold 0.5"]
    assert best(questions) == {key: value for key, value in expected.items() if "best" in key}
