"""What a pack's training calls on its way, and what it leaves in memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from lorasweep.folder.records import EvalEntry, Failure, Rung, State, StepEntry, Stop
from lorasweep.training.checkpoint import Checkpoint
from lorasweep.training.race import ParagraphLosses, Race


@dataclass(frozen=True, slots=True)
class StepEvent:
    """What a step of a pack tells whoever shows progress.

    A resumed pack first tells of all the steps that were done before, with `is_resumed`.
    """

    step: int
    num_steps: int
    num_questions: int
    losses: tuple[float, ...]
    is_resumed: bool = False


@dataclass(slots=True)
class Trained:
    """What a pack's training leaves beside its adapters, run by run.

    `seconds` counts the steps alone, `lane_seconds` each run's share of them; `peak_memory_bytes`
    is the peak before the last resume. `places` are the runs that the adapters still hold, in the
    order of the lanes; `rungs` and `stops` are those of a race.
    """

    num_steps: int
    seconds: float
    peak_memory_bytes: int
    places: list[int]
    lane_seconds: list[float]
    histories: list[list[StepEntry | EvalEntry]]
    failures: list[Failure | None]
    rungs: list[list[Rung]]
    stops: list[Stop | None]

    @classmethod
    def nothing(cls, num_steps: int, num_lanes: int) -> Self:
        """Return what there is before the first step."""
        return cls(
            num_steps, 0.0, 0, list(range(num_lanes)), [0.0] * num_lanes,
            [[] for _ in range(num_lanes)], [None] * num_lanes,
            [[] for _ in range(num_lanes)], [None] * num_lanes,
        )  # fmt: skip

    def state(self, place: int) -> State:
        """Return how a run ended."""
        if self.failures[place] is not None:
            return "failed"
        return "done" if self.stops[place] is None else "stopped"

    def ended(self) -> dict[int, int]:
        """Map the places of the runs that came to the end to their lanes in the adapters."""
        return {p: k for k, p in enumerate(self.places) if self.state(p) == "done"}


@dataclass(frozen=True, slots=True)
class RaceHooks:
    """What a pack calls that is raced: its race, the losses there, and who keeps a stopped run.

    `set_aside` takes the place of a run and its state as that of a pack of this run alone.
    """

    race: Race
    evaluate: Callable[[], ParagraphLosses]
    set_aside: Callable[[int, Checkpoint], None]


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a pack's training calls: evaluation, progress, whether to stop, and its race if any.

    `evaluate` returns each lane's evaluation loss and is called after every epoch; where
    `stop_requested` says so, a checkpoint is written after the step and KeyboardInterrupt raised.
    """

    evaluate: Callable[[], list[float]]
    on_step: Callable[[StepEvent], None] = lambda _: None
    stop_requested: Callable[[], bool] = lambda: False
    race: RaceHooks | None = None
