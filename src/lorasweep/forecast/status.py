"""How a study's folder stands, from what is on disk; another process may be at work in it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from lorasweep.errors import UserError
from lorasweep.folder.heartbeat import Heartbeat, read_heartbeat
from lorasweep.folder.holding import is_held
from lorasweep.folder.records import BaseRecord, Lock, LockedPack, LockedRun, RunRecord, State
from lorasweep.folder.scores import scores_of
from lorasweep.folder.store import Store
from lorasweep.forecast.estimate import (
    Costs,
    Size,
    answer_seconds,
    costs_of,
    estimate,
    num_evaluated,
    share_trained,
    with_progress,
    work_of,
)
from lorasweep.study.plan import Labels
from lorasweep.study.study import Study

RunState = State | Literal["running", "waiting"]
STATES: tuple[RunState, ...] = ("done", "running", "waiting", "failed", "stopped")


@dataclass(frozen=True, slots=True)
class RunStatus:
    """One run: its state, its pack, the share of its training that is done, and its F1."""

    id: str
    label: str
    state: RunState
    configuration: dict[str, Any]
    pack: str
    share_trained: float
    f1: float | None


@dataclass(frozen=True, slots=True)
class Status:
    """A folder: whether a process is at work in it, its runs, the best so far, and time left.

    `seconds_left` is None where nothing was measured yet that it could be estimated from.
    """

    study: str
    is_busy: bool
    counts: dict[RunState, int]
    best: RunStatus | None
    seconds_left: float | None
    cuts: list[str]
    runs: list[RunStatus]

    def as_json(self) -> dict[str, Any]:
        """Return it as `lorasweep status --json` prints it."""
        return asdict(self)


def status_of(out: Path) -> Status:
    """Read how a study's folder stands; nothing is written.

    Raises UserError for a folder without a study, and for a damaged file.
    """
    store = Store(out)
    lock, is_busy = store.read_lock(), is_held(store.out)
    if lock is None:
        raise UserError(_why_no_lock(out, is_busy))
    records = {run.id: store.read_run(run.id) for pack in lock.packs for run in pack.runs}
    packs = _packs(store, lock, records, is_busy)
    beats = {pack.id: read_heartbeat(store.checkpoints_folder / pack.id) for pack in packs}
    study = Study.parse(lock.study, str(store.lock_file))
    label = Labels(study.configurations())
    runs = [
        _run_status(
            run, label(run.configuration), pack.id, records[run.id], beats[pack.id], is_busy
        )
        for pack in packs
        for run in pack.runs
    ]
    counts = Counter(run.state for run in runs)
    scored = [run for run in runs if run.state == "done" and run.f1 is not None]
    return Status(
        study=study.name,
        is_busy=is_busy,
        counts={state: counts[state] for state in STATES},
        best=max(scored, key=lambda run: run.f1 or 0.0, default=None),
        seconds_left=_seconds_left(store, lock, packs, records, beats),
        cuts=list(dict.fromkeys(reason for pack in packs for reason in pack.cuts)),
        runs=runs,
    )


def _packs(
    store: Store, lock: Lock, records: dict[str, RunRecord | None], is_busy: bool
) -> list[LockedPack]:
    """Return the packs of the runs that the study asks for.

    A run that a process at work has resumed after it lost a race is in a pack of its own, and its
    record counts no more.
    """
    packs, resumed = [], []
    for pack in lock.packs:
        runs = [run for run in pack.runs if lock.wanted is None or run.id in lock.wanted]
        again = [run for run in runs if is_busy and _is_resumed(store, run, records[run.id])]
        resumed += [LockedPack.alone(run) for run in again]
        packs.append(pack.model_copy(update={"runs": [run for run in runs if run not in again]}))
    records.update({pack.runs[0].id: None for pack in resumed})
    return [pack for pack in (*packs, *resumed) if pack.runs]


def _is_resumed(store: Store, run: LockedRun, record: RunRecord | None) -> bool:
    beat = read_heartbeat(store.checkpoints_folder / LockedPack.alone(run).id)
    return record is not None and record.state == "stopped" and not beat.is_over


def _why_no_lock(out: Path, is_busy: bool) -> str:
    if is_busy:
        return f"{out}: a study is just starting here; its base model is not loaded yet"
    if not out.exists():
        return f"{out}: no such folder"
    return f"{out}: no study here (no study.lock.json): `lorasweep run STUDY --out {out}` first"


def _run_status(
    run: LockedRun,
    label: str,
    pack: str,
    record: RunRecord | None,
    beat: Heartbeat,
    is_busy: bool,
) -> RunStatus:
    point = run.configuration.model_dump()
    if record is not None:
        scores = scores_of(record.metrics, "greedy")
        f1 = None if scores is None else scores.rank.mean
        return RunStatus(run.id, label, record.state, point, pack, share_trained(record), f1)
    state: RunState = "running" if is_busy and not beat.is_over else "waiting"
    return RunStatus(run.id, label, state, point, pack, share_done(beat), None)


def share_done(beat: Heartbeat) -> float:
    """Return the share of a pack's steps that are done, 0 to 1."""
    return beat.num_steps_done / beat.num_steps if beat.num_steps else 0.0


def _seconds_left(
    store: Store,
    lock: Lock,
    packs: Sequence[LockedPack],
    records: dict[str, RunRecord | None],
    beats: dict[str, Heartbeat],
) -> float | None:
    """Estimate the packs that lack a record, from those that have one and from the present one."""
    lacking = [pack for pack in packs if any(records[run.id] is None for run in pack.runs)]
    base = store.read_base()
    if not lacking:
        return 0.0
    if base is None:
        return None
    costs = _costs(lock, [record for record in records.values() if record], base)
    size = Size(costs.num_train, costs.num_eval, int(lock.facts["recipe"]["epochs"]))
    if not size.num_train:
        return None
    for pack in lacking:
        beat = beats[pack.id]
        if beat.num_steps_fresh:
            pace = beat.seconds / beat.num_steps_fresh
            costs = with_progress(costs, work_of(pack), size, pace * beat.num_steps)
    left = 0.0
    for pack in lacking:
        expected = estimate(work_of(pack), size, costs)
        if expected is None:
            return None
        share = 1 - share_done(beats[pack.id])
        left += share * expected.train_seconds + expected.answer_seconds
    return left


def _costs(lock: Lock, records: Sequence[RunRecord], base: BaseRecord) -> Costs:
    """Return what finished packs took, or what the base model's answers and the study tell."""
    return costs_of(records, base) or Costs(
        num_weights=base.num_parameters,
        methods={},
        seconds_per_answer=answer_seconds(base),
        num_train=lock.study["data"]["num_train"] or 0,
        num_eval=num_evaluated(base),
    )
