"""What is still to be done of a plan, and what that will take, from all that was measured."""

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lorasweep.errors import UserError
from lorasweep.estimate import Costs, Estimate, Size, Work, costs_of, estimate
from lorasweep.models import home
from lorasweep.plan import Pack, Plan, PlannedRun, pack_up
from lorasweep.records import Lock, LockedRun, RunRecord
from lorasweep.store import Store
from lorasweep.study import Study, canonical_json, fingerprint


@dataclass(frozen=True, slots=True)
class Forecast:
    """Estimates of the packs still to be run, where they come from, and the runs done already.

    `packs` is empty where nothing is left; a pack of a method that was never measured has None.
    """

    source: str
    num_done: int
    base_seconds: float
    packs: dict[str, Estimate | None]

    @property
    def seconds(self) -> float | None:
        """Seconds of all packs and the base model's answers; None where a pack is not known."""
        known = [found for found in self.packs.values() if found is not None]
        if len(known) < len(self.packs):
            return None
        return sum(found.seconds for found in known) + self.base_seconds

    @property
    def peak_memory_bytes(self) -> int | None:
        """The highest peak of any pack; None where none is known."""
        known = (found.peak_memory_bytes for found in self.packs.values() if found is not None)
        return max(known, default=None)

    def as_json(self) -> dict[str, Any]:
        """Return it as `lorasweep plan --json` prints it."""
        totals = {"seconds": self.seconds, "peak_memory_bytes": self.peak_memory_bytes}
        return {**asdict(self), **totals}


def forecast(plan: Plan, out: Path) -> Forecast | None:
    """Estimate what a folder still lacks of a plan; None where nothing was ever measured.

    From the folder's own runs, where packs are finished, else from this machine's calibration.
    """
    store = Store(out)
    lock = store.read_lock()
    finished = _finished(store, lock) if lock else []
    source, costs = _costs(plan.study, store, [record for _, record in finished])
    if costs is None:
        return None
    done = {_work(run) for run, _ in finished}
    left = [run for run in plan.runs if canonical_json(run.work) not in done]
    size = Size(
        plan.study.data.num_train or costs.num_train,
        plan.study.data.num_eval or costs.num_eval,
        plan.study.recipe.epochs,
    )
    return Forecast(
        source=source,
        num_done=len(plan.runs) - len(left),
        base_seconds=0.0 if store.read_base() else costs.seconds_per_answer * size.num_eval,
        packs={
            pack.id: estimate(_work_of(pack), size, costs)
            for pack in pack_up(left, plan.study.pack.lanes)
        },
    )


def calibration_file(study: Study) -> Path:
    """Return where this machine's cache keeps a calibration of such a study.

    What changes the cost of a question decides the name: model, data, prompt, decoders, machine.
    """
    deciding = {
        "machine": platform.node(),
        "model": study.model.model_dump(mode="json"),
        "data": study.data.model_dump(
            mode="json", exclude={"num_train", "num_eval", "num_test", "seed", "test"}
        ),
        "evaluate": study.evaluate.model_dump(mode="json"),
        "micro_batch": study.recipe.micro_batch,
    }
    return home() / "calibrations" / f"{fingerprint(deciding)}.json"


def _costs(study: Study, store: Store, records: Sequence[RunRecord]) -> tuple[str, Costs | None]:
    """Return what was measured, and where, for people."""
    base = store.read_base()
    found = costs_of(records, base) if base else None
    calibrated = _calibrated(study)
    if found is None:
        return "a calibration on this machine", calibrated
    source = f"{len(records)} finished runs in {store.out}"
    if calibrated is None or set(calibrated.methods) <= set(found.methods):
        return source, found
    methods = {**calibrated.methods, **found.methods}
    both = found.model_copy(update={"methods": methods})
    return f"{source} and a calibration on this machine", both


def _calibrated(study: Study) -> Costs | None:
    file = calibration_file(study)
    try:
        return Costs.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        raise UserError(f"{file}: damaged; `lorasweep plan STUDY --calibrate` renews it") from None


def _finished(store: Store, lock: Lock) -> list[tuple[LockedRun, RunRecord]]:
    runs = [run for pack in lock.packs for run in pack.runs]
    records = [(run, store.read_run(run.id)) for run in runs]
    return [(run, record) for run, record in records if record is not None]


def _work(run: LockedRun) -> str:
    """Return the work of a run that was decided, as a plan writes it."""
    planned = PlannedRun(
        run.configuration, tuple(run.modules), run.trainable_parameters, run.scale, ""
    )
    return canonical_json(planned.work)


def _work_of(pack: Pack) -> Work:
    method = pack.runs[0].configuration.method
    return Work(pack.id, method, tuple(run.trainable_parameters for run in pack.runs))
