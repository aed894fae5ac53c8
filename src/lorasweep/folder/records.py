"""What is on disk, as types: the record of a run, and results.json, a public contract.

Everything here is written as JSON; `RunRecord` is immutable once its state is final.
"""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from lorasweep.folder.findings import Analysis
from lorasweep.folder.scores import Scores
from lorasweep.folder.stored import FileName, Sealed, Stored
from lorasweep.study.forms import Form
from lorasweep.study.grid import Configuration, ImportedConfiguration
from lorasweep.study.sections import Race

SCHEMA = 2
# Of the labels that charts and tables have room for, far more than any that a study makes.
LONGEST_LABEL = 1000

State = Literal["done", "failed", "stopped"]


class PackInfo(Stored):
    """The pack that a run was trained in; `seconds` is its training time for all lanes."""

    id: FileName
    lanes: int
    seconds: float


class Failure(Stored):
    """Why a lane was stopped: the step, the quantity that was not finite, and its value."""

    step: int
    quantity: str
    value: str


class LossesByParagraph(Stored):
    """Losses summed over the answer tokens of each paragraph's questions, in nats."""

    paragraphs: list[str]
    articles: list[str]
    num_answer_tokens: list[int]
    losses: list[float]

    @model_validator(mode="after")
    def _of_one_length(self) -> Self:
        if len({len(values) for _, values in self}) > 1:
            raise ValueError("not as many losses as paragraphs")
        return self

    @property
    def mean(self) -> float:
        """The loss per answer token."""
        return math.fsum(self.losses) / sum(self.num_answer_tokens)


class FinalLosses(Stored):
    """losses.json: what a trained model, or the base model, leaves on the evaluation questions.

    `train` is the same on about as many questions that were trained on, in whole paragraphs, and
    without dropout: the same questions for every run.
    """

    eval: LossesByParagraph
    train: LossesByParagraph


class Rung(Stored):
    """A line of rungs.jsonl: a run's losses at one rung of a race, paragraph by paragraph.

    `losses` are summed over the answer tokens of a paragraph's questions, in nats; paragraphs are
    in the order of the evaluation questions, the same for every run.
    """

    fraction: float
    step: int
    paragraphs: list[str]
    num_answer_tokens: list[int]
    losses: list[float]


class Stop(Stored):
    """Why a run was stopped at a rung of a race: it was shown to be worse than the leader.

    `difference` is its evaluation loss less the leader's in nats per answer token, `at_least` the
    lower end of its one-sided interval at the corrected level; `p_value` is one-sided, and
    `adjusted_p_value` is corrected for the `num_comparisons` that the race can make in all.
    """

    fraction: float
    step: int
    num_steps: int
    leader: str
    leader_label: str
    eval_loss: float
    leader_eval_loss: float
    difference: float
    at_least: float
    p_value: float
    adjusted_p_value: float
    level: float
    num_comparisons: int
    num_paragraphs: int


class RunRecord(Sealed):
    """What a finished run leaves on disk as record.json.

    `modules` is empty and `scale` None for full fine-tuning, which trains every weight.
    `metrics` maps each decoder to its Scores, and "eval_loss" to nats per answer token;
    `test_metrics` does so on the test set, for the chosen run alone.
    `train_seconds` is the pack's training time divided by its lanes, without loading, evaluation
    and decoding; `peak_memory_bytes` is that of the pack's process while training. Where a race
    made a pack narrower, each step's time is divided by the lanes of that step.
    `stop` is there for a run that lost a race, and stays when it is resumed and done after all.
    `imported_from` names an adapter trained elsewhere: all counts and times of its training are 0.
    """

    id: FileName
    state: State
    label: Annotated[str, Field(max_length=LONGEST_LABEL)]
    configuration: Configuration | ImportedConfiguration
    modules: list[str]
    trainable_parameters: int
    scale: float | None
    num_train_questions: int
    num_epochs: int
    num_steps: int
    pack: PackInfo
    train_seconds: float
    peak_memory_bytes: int
    train_loss: float | None = None
    metrics: dict[FileName, Scores | float] = {}
    test_metrics: dict[FileName, Scores | float] = {}
    failure: Failure | None = None
    stop: Stop | None = None
    warnings: list[str] = []
    precision: str
    versions: dict[str, str]
    imported_from: str | None = None


class BaseRecord(Sealed):
    """The untuned base model's scores, on disk as base/record.json."""

    name: str
    num_parameters: int
    precision: str
    note: str = ""
    metrics: dict[FileName, Scores | float] = {}
    test_metrics: dict[FileName, Scores | float] = {}
    versions: dict[str, str]


class StepEntry(Stored):
    """A line of history.jsonl for an optimizer step; losses in nats per answer token.

    Steps and epochs are counted from 0. `grad_norm` is None for a step that the run skipped, as its
    gradient overflowed in fp16.
    """

    kind: Literal["step"] = "step"
    step: int
    epoch: int
    loss: float
    grad_norm: float | None
    lr: float
    num_questions: int
    num_answer_tokens: int


class EvalEntry(Stored):
    """A line of history.jsonl for an evaluation after `step` steps, in epoch `epoch` from 0."""

    kind: Literal["eval"] = "eval"
    step: int
    epoch: int
    eval_loss: float


HistoryEntry = Annotated[StepEntry | EvalEntry, Field(discriminator="kind")]


class LockedRun(Stored):
    """A run as it was decided: what it trains, with alpha as a number."""

    id: FileName
    configuration: Configuration
    modules: list[str]
    trainable_parameters: int
    scale: float | None
    warnings: list[str] = []


class LockedPack(Stored):
    """A pack as it was decided: its runs in the order of their lanes.

    A pack that memory did not hold was cut in half, as often as `cuts` has reasons: its
    micro-batches are halved each time too.
    """

    id: FileName
    runs: list[LockedRun]
    cuts: list[str] = []

    @classmethod
    def alone(cls, run: LockedRun) -> Self:
        """Return the pack that a run of another pack is resumed in after it lost a race."""
        return cls(id=f"run-{run.id}", runs=[run])


class Lock(Stored):
    """What was decided before training and is used on resume, as study.lock.json.

    `facts` are what later calls on the same folder must agree with, by the names that a message
    uses; `micro_tokens` bounds a micro-batch of all lanes together. `imported` are the ids of
    adapters trained elsewhere that are scored beside the runs. `operations` are what was chosen by
    what the machine has. `wanted` are the ids of the runs that the last call's study asks for; None
    in folders of before, where all are.
    """

    study: dict[str, Any]
    facts: dict[str, Any]
    precision: Literal["fp32", "bf16", "fp16"]
    device: str
    threads: int
    micro_tokens: int
    versions: dict[str, str]
    operations: dict[str, str] = {}
    packs: list[LockedPack] = []
    wanted: list[FileName] | None = None
    imported: list[FileName] = []


class DataCard(Stored):
    """What was trained and scored on, and what was left out.

    `longest_tokens` is that of a question with its context and answer. `shared_contexts` counts
    the contexts that stand among the training questions too; None where that was not looked at.
    """

    sources: list[str]
    articles: int
    paragraphs: int
    questions: int
    unanswerable: int
    too_long: int
    trunk_tokens: int = 0
    branch_tokens: int = 0
    answer_tokens: int = 0
    longest_tokens: int = 0
    shared_contexts: int | None = None
    fingerprint: str


class Results(Stored):
    """results.json: every run and configuration of a study with its metrics.

    `form` is that of the data. Runs are ranked by the scorer `rank_by` on the answers of the
    decoder `rank_decoder`. `chosen` is the id of the best run on the evaluation set: the one that
    is scored on the test set, where there is one. `analysis` is there once every run is finished.
    """

    schema_version: int = Field(default=SCHEMA, alias="schema")
    study: str
    base: BaseRecord
    runs: list[RunRecord]
    configurations: list[dict[str, Any]]
    chosen: str | None = None
    warnings: list[str]
    data: dict[str, DataCard]
    recipe: dict[str, Any]
    race: Race | None = None
    prompt: str
    versions: dict[str, str]
    analysis: Analysis | None = None
    form: Form = "qa"
    rank_by: str = "f1"
    rank_decoder: str = "greedy"

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, values: Any) -> Any:
        """Read schema 1: all its data was of the form qa, ranked by F1, which are the defaults."""
        is_older = isinstance(values, dict) and values.get("schema") == 1
        return values | {"schema": SCHEMA} if is_older else values

    @property
    def names(self) -> dict[str, str]:
        """Map every run id to its label, with the id where runs share the label."""
        labels = [run.label for run in self.runs]
        return {
            run.id: run.label if labels.count(run.label) == 1 else f"{run.label} ({run.id[:6]})"
            for run in self.runs
        }
