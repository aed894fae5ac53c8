"""Choices: accuracy, and macro-F1 and Matthews' correlation by counting pair by pair."""

import math
import random

import numpy as np
import pytest
from written import example

from lorasweep.errors import UserError
from lorasweep.scoring.rules.listed import parse_rules
from lorasweep.scoring.scorers.choices import as_matrix
from lorasweep.scoring.scorers.listed import parse_scorer
from lorasweep.scoring.scorers.scorer import statistics_of

RULES = parse_rules("squad-v1.1")
LABELS = ("good", "bad", "نامعلوم", "其他")


def plain_macro_f1(right: list[str], answered: list[str]) -> float:
    scores = []
    for label in LABELS:
        pairs = list(zip(right, answered, strict=True))
        hits = sum(r == a == label for r, a in pairs)
        misses, alarms = (sum(p[i] == label != p[1 - i] for p in pairs) for i in (0, 1))
        if hits + misses + alarms:
            scores.append(2 * hits / (2 * hits + misses + alarms))
    return sum(scores) / len(scores)


def plain_mcc(right: list[str], answered: list[str]) -> float:
    """Return R_K as a correlation of indicators (Gorodkin's definition by covariances)."""
    labels = {*right, *answered}

    def covariance(one: list[str], other: list[str]) -> float:
        n, total = len(one), 0.0
        for label in labels:
            a, b = ([float(x == label) for x in each] for each in (one, other))
            mean_a, mean_b = sum(a) / n, sum(b) / n
            total += sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True)) / n
        return total

    scale = math.sqrt(covariance(right, right) * covariance(answered, answered))
    return covariance(right, answered) / scale if scale > 1e-12 else 0.0


@pytest.mark.parametrize(("name", "plain"), [("macro_f1", plain_macro_f1), ("mcc", plain_mcc)])
def test_scores_of_whole_sets_by_counting(name: str, plain: object) -> None:
    scorer, rng = parse_scorer(name, RULES), random.Random(7)
    assert scorer.corpus is not None
    for _ in range(200):
        right = rng.choices(LABELS[: rng.randint(1, 4)], k=rng.randint(1, 30))
        answered = [r if rng.random() < 0.6 else rng.choice([*LABELS, "?"]) for r in right]
        examples = [example(label, choices=LABELS) for label in right]
        counts = statistics_of(name, scorer.corpus, answered, examples)
        assert as_matrix(counts.sum(axis=0)).sum() == len(right)
        found = float(scorer.corpus.combine(counts.sum(axis=0)))
        assert found == pytest.approx(plain(right, answered), abs=1e-9)  # type: ignore[operator]


def test_many_resamples_are_scored_at_once() -> None:
    rng = np.random.default_rng(0)
    for name in ("macro_f1", "mcc"):
        corpus = parse_scorer(name, RULES).corpus
        assert corpus is not None
        sums = rng.integers(0, 9, size=(5, 7, 4 * 5)).astype(float)
        found = corpus.combine(sums)
        assert found.shape == (5, 7)
        assert found[2, 3] == pytest.approx(float(corpus.combine(sums[2, 3])))


def test_of_an_example_it_is_whether_the_choice_is_right() -> None:
    each = example("bad", choices=LABELS)
    for name in ("choice", "macro_f1", "mcc"):
        scorer = parse_scorer(name, RULES)
        assert scorer.score(" bad\n", each) == 1
        assert scorer.score("good", each) == 0
        assert scorer.score("Bad", each) == 0
    ranges = {name: parse_scorer(name, RULES).low for name in ("choice", "macro_f1", "mcc")}
    assert ranges == {"choice": 0, "macro_f1": 0, "mcc": -1}
    assert not parse_scorer("mcc", RULES).is_share


def test_choices_that_do_not_fit_are_said() -> None:
    corpus = parse_scorer("macro_f1", RULES).corpus
    assert corpus is not None
    with pytest.raises(UserError, match="example 'e': the right choice 'awful' is none of its"):
        corpus.statistics("good", example("awful", choices=LABELS))
    examples = [example("good", choices=LABELS), example("good", choices=("good",), name="f")]
    with pytest.raises(UserError, match=r"'macro_f1' needs the same choices in all .* 'f' has"):
        statistics_of("macro_f1", corpus, ["good", "good"], examples)
