"""What an analysis of a study finds, as types: "analysis" in results.json.

Scores and their differences are in points of 0 to 100. Intervals are at the 95 % level, by
resampling paragraphs, or articles; where one is None, a `reason` or a note says why.
"""

from lorasweep.folder.scores import ByScorer, FlatScores
from lorasweep.folder.stored import Interval, Stored
from lorasweep.study.sections import Unit

BASE = "base"  # stands for the base model where an id of a run is expected
Value = int | float | str


class TiedBest(Stored):
    """The runs that the questions cannot tell from the best (the model confidence set of F1).

    `p_values` has all compared runs by id; a run is a member where its p value is above 0.05. It is
    also the corrected p value of its difference in F1 from the best run.
    """

    members: list[str]
    p_values: dict[str, float]
    level: float
    sentence: str


class Difference(Stored):
    """A mean paired difference with its interval and permutation p value.

    `adjusted_p_value` is corrected over all comparisons on the same metric: with the run that
    scored best, for its choice by these scores, and so is the interval (`stats/all_pairs.py`); on
    the test set by Holm, beside an interval of this difference alone. `is_shown` says whether
    interval and corrected test both speak for a difference.
    """

    mean: float
    interval: Interval | None
    p_value: float
    adjusted_p_value: float
    is_shown: bool
    reason: str = ""
    sentence: str


class Comparison(FlatScores):
    """A run, or the base model, minus another run on the same examples.

    `scores` are differences by scorer, on disk each under its name. `mcnemar_p_value` is of the
    first that says right or wrong, and takes examples for independent: a check only; None where
    scores are means over draws.
    """

    run: str
    against: str
    rank_by: str = "f1"
    scores: dict[str, Difference]
    mcnemar_p_value: float | None

    @property
    def rank(self) -> Difference:
        """The difference in the score that ranks."""
        return self.scores[self.rank_by]


class Power(Stored):
    """What the questions can settle between two runs, and what `difference` would take."""

    runs: tuple[str, str]
    difference: float
    num_questions: int | None
    num_paragraphs: int | None
    smallest_difference: float | None
    power: float
    sentence: str


class Level(Stored):
    """A value of an axis: its mean F1, and how far that lies from the axis' mean."""

    value: Value
    mean: float
    effect: float
    interval: Interval | None


class Axis(Stored):
    """The main effect of an axis; `num_cells` settings of the others hold all its values.

    `share` is its share of the variance between runs, from 0 to 1. `reason` says why there are no
    levels, or no share.
    """

    name: str
    levels: list[Level]
    num_cells: int
    share: float | None
    reason: str = ""


class Cell(Stored):
    """A pair of values of two axes: its mean F1, and what it adds to both main effects."""

    values: tuple[Value, Value]
    mean: float
    interaction: float
    interval: Interval | None


class Interaction(Stored):
    """All pairs of values of two axes; none where no setting of the others holds them all."""

    axes: tuple[str, str]
    cells: list[Cell]


class Edge(Stored):
    """An axis whose best value is the last one tried, and the option that extends it."""

    # All edges written before this field were LoRA's.
    method: str = "lora"
    axis: str
    value: int | float
    suggestion: int | float
    option: str
    sentence: str


class Ablation(Stored):
    """What each axis of the grid does to F1; `constant` are the axes with one value.

    `residual` is the share of interactions and chance in training in the variance between runs,
    `evaluation` that of the choice of the questions. `seeds` is that of chance in training, and
    `residual` without it, where configurations were run with several seeds. With the axes' they
    add up to 1, a part that is estimated below 0 being taken for 0.
    """

    axes: list[Axis] = []
    constant: dict[str, Value] = {}
    interactions: list[Interaction] = []
    residual: float | None = None
    seeds: float | None = None
    evaluation: float | None = None
    edges: list[Edge] = []
    notes: list[str] = []


class SeedSpread(Stored):
    """Runs that differ in their seed only.

    `seed_deviation` is the standard deviation between their F1, `question_error` the standard
    error of their mean by the choice of questions; the interval joins both.
    """

    runs: list[str]
    name: str
    mean: float
    seed_deviation: float | None
    question_error: float | None
    interval: Interval | None
    reason: str = ""


class Slice(ByScorer):
    """The answers that share a value; earlier versions gave no interval."""

    value: str
    count: int


class Breakdown(Stored):
    """The answers of the best run and of the base model, grouped by one aspect."""

    aspect: str
    best: list[Slice]
    base: list[Slice]


class Changes(Stored):
    """From the base model to the best run: which wrong answers were mended, which are new."""

    became_right: int
    became_wrong: int
    stayed_right: int
    stayed_wrong: int
    mended: dict[str, int]
    broken: dict[str, int]


class Example(Stored):
    """A wrong answer of the best run."""

    failure: str
    id: str
    question: str
    prediction: str
    answers: list[str]


class Failures(Stored):
    """Why answers of the best run are wrong; `base` lists are empty where it has no answers."""

    breakdowns: list[Breakdown]
    changes: Changes | None
    examples: list[Example]


class Costs(Stored):
    """The runs that no other run beats in both cost and F1, from the cheapest to the dearest."""

    by_parameters: list[str]
    by_seconds: list[str]
    by_memory: list[str] = []


class DecoderAnalysis(Stored):
    """What the answers of one decoder show; notes say what could not be worked out, and why."""

    best: str | None = None
    tied_best: TiedBest | None = None
    comparisons: list[Comparison] = []
    test: list[Comparison] = []
    power: Power | None = None
    ablation: Ablation | None = None
    seeds: list[SeedSpread] = []
    failures: Failures | None = None
    costs: Costs | None = None
    selection_bias: str = ""
    notes: list[str] = []


class LossGap(Stored):
    """A run's loss on the evaluation questions less that on training questions, and its interval.

    All in nats per answer token; `run` is `BASE` for the base model.
    """

    run: str
    eval_loss: float
    train_loss: float
    gap: float
    interval: Interval | None


class LevelGap(Stored):
    """The mean gap of the runs with a value of an axis, over complete settings of the others."""

    axis: str
    value: Value
    gap: float
    interval: Interval | None


class Overfitting(Stored):
    """How much larger losses are on new questions than on those that were trained on.

    As many training questions as evaluation ones, in whole paragraphs. The base model has seen
    neither set, so its gap is what the sets differ by themselves. `notes` say what is missing.
    """

    runs: list[LossGap] = []
    base: LossGap | None = None
    levels: list[LevelGap] = []
    num_eval_paragraphs: int = 0
    num_train_paragraphs: int = 0
    notes: list[str] = []


class Analysis(Stored):
    """What a study shows, by decoder; `clusters` is what was taken for independent."""

    clusters: Unit = "paragraph"
    decoders: dict[str, DecoderAnalysis]
    overfitting: Overfitting | None = None
