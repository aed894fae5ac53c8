"""Scoring and comparing the prediction files of any system, in SQuAD's form {id: answer}."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lorasweep.data.examples import Dataset
from lorasweep.data.squad.offsets import unplaced_warning
from lorasweep.data.squad.sources import Reading, load
from lorasweep.errors import UserError
from lorasweep.scoring.predictions import Predictions, read_predictions
from lorasweep.scoring.rules.listed import parse_rules
from lorasweep.scoring.rules.no_answers import Marked, totals
from lorasweep.scoring.rules.rules import Rules
from lorasweep.scoring.stats.clusters import DRAWS, Clusters, Floats
from lorasweep.scoring.stats.intervals import (
    Interval,
    bootstrap_intervals,
    wilson_interval,
    within_marks,
)
from lorasweep.scoring.stats.paired import Difference, mcnemar_exact, paired_differences, sentence
from lorasweep.scoring.stats.power import Power, questions_to_settle
from lorasweep.study.scorers import DEFAULT_RULES
from lorasweep.study.sections import Unit

# A difference in points that would matter, chosen beforehand.
DIFFERENCE_TO_SETTLE = 1.0
MOST_IDS_IN_A_WARNING = 3


@dataclass(frozen=True)
class Score:
    """A system's EM and F1 on a data set, 0 to 100, with 95 % intervals by resampling paragraphs,
    or articles (`unit`).

    `wilson` is Wilson's interval of EM, which takes questions for independent: a check only.
    `missing` are the questions without a prediction, which count as wrong; `unknown` the
    predictions for ids that the data set does not hold, which count for nothing. `parts` are the
    scores of questions with answers and without, where the rules score both.
    """

    name: str
    exact_match: Interval
    f1: Interval
    wilson: tuple[float, float]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    warnings: tuple[str, ...]
    unit: Unit = "paragraph"
    rules: str = DEFAULT_RULES
    parts: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the plain values of `score --json`; an interval is [low, high] or null."""
        return {
            "name": self.name,
            **({} if self.rules == DEFAULT_RULES else {"rules": self.rules}),
            "exact_match": self.exact_match.mean,
            "f1": self.f1.mean,
            "total": self.f1.num_questions,
            **self.parts,
            "clusters": self.unit,
            f"num_{self.unit}s": self.f1.num_clusters,
            "level": self.f1.level,
            "exact_match_interval": bounds(self.exact_match),
            "f1_interval": bounds(self.f1),
            "exact_match_wilson_interval": list(self.wilson),
            "design_effect": self.f1.design_effect,
            "exact_match_design_effect": self.exact_match.design_effect,
            "missing": list(self.missing),
            "unknown": list(self.unknown),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class Comparison:
    """System a minus system b on the same questions, in points of 0 to 100.

    The p values of F1 and EM are permutation tests by paragraph, or by article, corrected together
    (Holm); `mcnemar_p_value` takes questions for independent: a check only. The powers say what
    this data set could settle.
    """

    a: Score
    b: Score
    f1: Difference
    exact_match: Difference
    mcnemar_p_value: float
    f1_power: Power
    exact_match_power: Power
    warnings: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, str]:
        """Say what the differences in F1 and EM show."""
        names, unit = (self.a.name, self.b.name), self.a.unit
        return (
            sentence(*names, "F1", self.f1, unit),
            sentence(*names, "EM", self.exact_match, unit),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the plain values of `compare --json`; an interval is [low, high] or null."""
        return {
            **_difference_json("f1", self.f1),
            **_difference_json("em", self.exact_match),
            "mcnemar_p_value": self.mcnemar_p_value,
            "sentences": list(self.sentences),
            "total": self.f1.num_questions,
            "clusters": self.a.unit,
            f"num_{self.a.unit}s": self.f1.num_clusters,
            "level": self.f1.level,
            "power": {"f1": asdict(self.f1_power), "em": asdict(self.exact_match_power)},
            "a": self.a.as_json(),
            "b": self.b.as_json(),
            "warnings": list(self.warnings),
        }


def score_file(
    predictions: Path, data: str, draws: int = DRAWS, unit: Unit = "paragraph",
    rules: Rules | None = None,
) -> Score:  # fmt: skip
    """Score a prediction file on a data source that `squad.load` reads; see `score`."""
    dataset = _load(data, rules)
    scored = score(
        Predictions(str(predictions), read_predictions(predictions)), dataset, draws, unit, rules
    )
    return replace(scored, warnings=_unique([*scored.warnings, *_unplaced(dataset)]))


def compare_files(
    a: Path, b: Path, data: str, draws: int = DRAWS, unit: Unit = "paragraph",
    settle: float = DIFFERENCE_TO_SETTLE, rules: Rules | None = None,
) -> Comparison:  # fmt: skip
    """Compare two prediction files on a data source that `squad.load` reads; see `compare`."""
    # Files of the same name in different folders are told apart by their folders.
    names = (a.stem, b.stem) if a.stem != b.stem else (str(a), str(b))
    first, second = (
        Predictions(name, read_predictions(path)) for name, path in zip(names, (a, b), strict=True)
    )
    dataset = _load(data, rules)
    compared = compare(first, second, dataset, draws, unit, settle, rules)
    return replace(compared, warnings=_unique([*compared.warnings, *_unplaced(dataset)]))


def score(
    predictions: Predictions, dataset: Dataset, draws: int = DRAWS, unit: Unit = "paragraph",
    rules: Rules | None = None,
) -> Score:  # fmt: skip
    """Return EM and F1 over all questions of the data set; one without a prediction is wrong.

    By the rules of SQuAD v1.1 where none are given. Raises UserError where no prediction belongs to
    the data set.
    """
    rules = rules or parse_rules(DEFAULT_RULES)
    return _score(predictions, dataset, _marks(predictions, dataset, rules), draws, unit, rules)


def compare(
    a: Predictions, b: Predictions, dataset: Dataset, draws: int = DRAWS,
    unit: Unit = "paragraph", settle: float = DIFFERENCE_TO_SETTLE, rules: Rules | None = None,
) -> Comparison:  # fmt: skip
    """Return a - b over all questions of the data set, with tests; see `Comparison`.

    `settle` is the difference in points that the powers are for, chosen beforehand.
    Raises UserError where the systems answer no question of the data set in common.
    """
    rules = rules or parse_rules(DEFAULT_RULES)
    both = _marks(a, dataset, rules), _marks(b, dataset, rules)
    if not any(q in a.answers and q in b.answers for q in _question_ids(dataset)):
        raise UserError(f"{a.name} and {b.name} answer no question of {_title(dataset)} in common")
    clusters = _clusters(dataset, unit)
    rows = both[0] - both[1]
    em, f1_ = paired_differences(rows, np.zeros(clusters.num_questions), clusters, draws=draws)
    em_power, f1_power = (questions_to_settle(row, clusters, settle) for row in rows)
    scores = tuple(
        _score(p, dataset, m, draws, unit, rules) for p, m in zip((a, b), both, strict=True)
    )
    reasons = [f"the difference in {n}: {d.reason}" for n, d in (("EM", em), ("F1", f1_))
               if d.reason]  # fmt: skip
    return Comparison(
        a=scores[0],
        b=scores[1],
        f1=f1_,
        exact_match=em,
        mcnemar_p_value=mcnemar_exact(both[0][0], both[1][0]),
        f1_power=f1_power,
        exact_match_power=em_power,
        warnings=_unique([*scores[0].warnings, *scores[1].warnings, *reasons]),
    )


def bounds(interval: Interval) -> list[float] | None:
    """Return both ends of an interval, or None where none can be given."""
    if interval.low is None or interval.high is None:
        return None
    return [interval.low, interval.high]


def _score(
    predictions: Predictions, dataset: Dataset, marks: Floats, draws: int, unit: Unit, rules: Rules
) -> Score:
    clusters = _clusters(dataset, unit)
    found = bootstrap_intervals(marks, clusters, draws=draws)
    em, f1_ = (within_marks(interval, clusters) for interval in found)
    low, high = wilson_interval(int(np.count_nonzero(marks[0])), marks.shape[1])
    asked = _question_ids(dataset)
    missing = tuple(q for q in asked if q not in predictions.answers)
    unknown = tuple(sorted(predictions.answers.keys() - set(asked) - dataset.unanswerable_ids))
    coverage = _coverage_warnings(predictions.name, missing, unknown, dataset)
    reasons = [f"no interval of {n}: {i.reason}" for n, i in (("EM", em), ("F1", f1_)) if i.reason]
    return Score(
        name=predictions.name,
        exact_match=em,
        f1=f1_,
        wilson=(100 * low, 100 * high),
        missing=missing,
        unknown=unknown,
        warnings=_unique([*coverage, *reasons]),
        unit=unit,
        rules=rules.name,
        parts=_parts(predictions, dataset, marks) if rules.unanswerable else {},
    )


def _marks(predictions: Predictions, dataset: Dataset, rules: Rules) -> Floats:
    """Return EM and F1 of each question, 0 to 100: [2, questions]."""
    asked = _question_ids(dataset)
    if not any(question_id in predictions.answers for question_id in asked):
        answered = next(iter(predictions.answers))
        known = "has an answer" if answered in dataset.unanswerable_ids else "is"
        raise UserError(
            f"{predictions.name}: none of its ids {known} in {_title(dataset)} "
            f"({answered!r} beside {asked[0]!r})"
        )
    marks = np.zeros((2, len(asked)))
    questions = (q for paragraph in dataset.groups for q in paragraph.examples)
    for column, question in enumerate(questions):
        # Without a prediction the mark is 0, even where "" would equal the reference "the".
        if (answer := predictions.answers.get(question.id)) is not None:
            references = question.references
            marks[0, column] = 100 * rules.exact_match(answer, references)
            marks[1, column] = 100 * rules.f1(answer, references)
    return marks


def _parts(predictions: Predictions, dataset: Dataset, marks: Floats) -> dict[str, float]:
    """Return the scores of the questions that have answers, and of those that have none."""
    questions = (q for group in dataset.groups for q in group.examples)
    marked = [
        Marked(em / 100, f1 / 100, bool(q.references), bool(predictions.answers.get(q.id)))
        for q, (em, f1) in zip(questions, marks.T.tolist(), strict=True)
    ]
    return {key: value for key, value in totals(marked).items() if "_" in key}


def _question_ids(dataset: Dataset) -> list[str]:
    return [question.id for paragraph in dataset.groups for question in paragraph.examples]


def _clusters(dataset: Dataset, unit: Unit) -> Clusters:
    return Clusters.of(
        [
            p.cluster_id if unit == "paragraph" else p.source
            for p in dataset.groups
            for _ in p.examples
        ]
    )


def _coverage_warnings(
    name: str, missing: Sequence[str], unknown: Sequence[str], dataset: Dataset
) -> Iterable[str]:
    if missing:
        yield (
            f"{name}: no prediction for {len(missing):,} of {dataset.num_examples:,} questions, "
            f"counted as wrong ({_some(missing)})"
        )
    if unknown:
        yield (
            f"{name}: predictions for ids that {_title(dataset)} does not hold, left out: "
            f"{len(unknown):,} ({_some(unknown)})"
        )
    if dataset.unanswerable:
        yield f"{_title(dataset)}: unanswerable questions left out: {dataset.unanswerable:,}"


def _unplaced(dataset: Dataset) -> list[str]:
    return [f"{_title(dataset)}: {warning}" for warning in unplaced_warning(dataset)]


def _some(ids: Sequence[str]) -> str:
    shown = ", ".join(repr(question_id) for question_id in ids[:MOST_IDS_IN_A_WARNING])
    return shown if len(ids) <= MOST_IDS_IN_A_WARNING else f"{shown}, ..."


def _title(dataset: Dataset) -> str:
    return ", ".join(dataset.sources)


def _load(data: str, rules: Rules | None) -> Dataset:
    keeps = rules is not None and rules.unanswerable
    return load([data], Reading(null_answer="") if keeps else Reading())


def _unique(warnings: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(warnings))


def _difference_json(metric: str, difference: Difference) -> dict[str, Any]:
    return {
        f"{metric}_difference": difference.mean,
        f"{metric}_interval": bounds(difference),
        f"{metric}_p_value": difference.p_value,
        f"{metric}_adjusted_p_value": difference.adjusted_p_value,
        f"{metric}_is_shown": difference.is_shown,
    }
