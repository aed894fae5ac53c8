"""What is still to be done of a plan, and what that will take, from all that was measured."""

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lorasweep.errors import UserError
from lorasweep.folder.records import Lock, LockedPack, LockedRun, RunRecord
from lorasweep.folder.store import Store
from lorasweep.forecast.estimate import (
    Costs,
    Estimate,
    Size,
    base_seconds,
    call_seconds,
    costs_of,
    estimate,
    work_of,
)
from lorasweep.hub.models import home
from lorasweep.study.fingerprint import canonical_json, fingerprint
from lorasweep.study.plan import Pack, Plan, PlannedRun, pack_up
from lorasweep.study.study import Study


@dataclass(frozen=True, slots=True)
class Forecast:
    """Estimates of the packs still to be run, where they come from, and the runs with a record.

    `packs` is empty where nothing is left; a pack of a method that was never measured has None.
    `difference` says why a folder's runs are none of the plan's, if they are not.
    """

    source: str
    num_done: int
    num_failed: int
    num_stopped: int
    base_seconds: float
    packs: dict[str, Estimate | None]
    call_seconds: float = 0.0
    difference: str = ""

    @property
    def seconds(self) -> float | None:
        """Seconds of all that is left, from start to report; None where a pack is not known."""
        known = [found for found in self.packs.values() if found is not None]
        if len(known) < len(self.packs):
            return None
        return sum(found.seconds for found in known) + self.base_seconds + self.call_seconds

    @property
    def peak_memory_bytes(self) -> int | None:
        """The highest peak of any pack; None where none is known."""
        known = (found.peak_memory_bytes for found in self.packs.values() if found is not None)
        return max(known, default=None)

    def as_json(self) -> dict[str, Any]:
        """Return it as `lorasweep plan --json` prints it."""
        totals = {"seconds": self.seconds, "peak_memory_bytes": self.peak_memory_bytes}
        return {**asdict(self), **totals}


def forecast(plan: Plan, out: Path, calibrated: Costs | None = None) -> Forecast | None:
    """Estimate what a folder still lacks of a plan; None where nothing was ever measured.

    From the folder's own runs, where packs are finished, else from this machine's calibration: the
    one that is given, or else the one that is kept.
    """
    store = Store(out)
    lock = store.read_lock()
    records = _records(store, lock)
    kept = calibrated or _calibrated(plan.study, plan.device)
    source, costs = _costs(store, list(records.values()), kept)
    if costs is None:
        return None
    difference = _difference(lock, plan.study, store) if lock else ""
    if difference:
        lock, records = None, {}
    size = Size(
        plan.study.data.num_train or costs.num_train,
        plan.study.data.num_eval or costs.num_eval,
        plan.study.recipe.epochs,
    )
    states = Counter(records[key].state for key in map(_work, plan.runs) if key in records)
    has_base = bool(lock and store.read_base())
    left = _left(plan, lock, records)
    return Forecast(
        source=source,
        num_done=states["done"],
        num_failed=states["failed"],
        num_stopped=states["stopped"],
        base_seconds=0.0 if has_base else base_seconds(size, costs),
        packs={pack.id: estimate(work_of(pack), size, costs) for pack in left},
        call_seconds=call_seconds(len(plan.runs), costs) if left else 0.0,
        difference=difference,
    )


def _left(
    plan: Plan, lock: Lock | None, records: Mapping[str, RunRecord]
) -> list[Pack | LockedPack]:
    """Return the packs that a folder has begun or decided, then those of runs that are new."""
    locked = lock.packs if lock else []
    wanted = {_work(run) for run in plan.runs} - records.keys()
    known = {_locked_work(run) for pack in locked for run in pack.runs}
    begun = [pack for pack in locked if any(_locked_work(run) in wanted for run in pack.runs)]
    new = [run for run in plan.runs if _work(run) not in known]
    device = lock.device if lock else plan.device
    return [*begun, *pack_up(new, plan.study.pack.lanes, device, first=len(locked))]


def _difference(lock: Lock, study: Study, store: Store) -> str:
    """Say what a folder was made with that a study has not, which `run` would refuse."""
    before, now = _deciding(Study.parse(lock.study, str(store.lock_file))), _deciding(study)
    is_auto = now["model.precision"] == "auto"
    before["model.precision"] = "auto" if is_auto else lock.precision
    if now["data.split"] == "auto":
        # the folder says what it came to, or was made before there was another
        before["data.split"] = "auto"
    for name, value in now.items():
        if before[name] != value:
            return (
                f"{store.out} was made with another {name}: {before[name]!r}, now {value!r}; its "
                "runs are none of this study's, and another folder (--out) is needed"
            )
    return ""


def _deciding(study: Study) -> dict[str, Any]:
    """Return the values that runs of one folder share, by the names of the study file."""
    data = study.data.model_dump(mode="json", exclude={"test", "num_test"})
    recipe = study.recipe.model_dump(mode="json", exclude={"micro_batch"})
    return {
        "name": study.name,
        "model.base": study.model.base,
        "model.precision": study.model.precision,
        **{f"data.{name}": value for name, value in data.items()},
        **{f"recipe.{name}": value for name, value in recipe.items()},
        "evaluate.max_new_tokens": study.evaluate.max_new_tokens,
    }


def calibration_file(study: Study, device: str) -> Path:
    """Return where this machine's cache keeps a calibration of such a study on a device.

    What changes the cost of a question decides the name: model, data, prompt, decoders, machine.
    """
    data = study.data.model_dump(
        mode="json", exclude={"num_train", "num_eval", "num_test", "seed", "test"}
    )
    if data["split"] == "auto":
        data["split"] = "article"  # as calibrations of before have it
    deciding = {
        "machine": platform.node(),
        "device": device,
        "model": study.model.model_dump(mode="json"),
        "data": data,
        "evaluate": study.evaluate.model_dump(mode="json"),
        "micro_batch": study.recipe.micro_batch,
    }
    return home() / "calibrations" / f"{fingerprint(deciding)}.json"


def _costs(
    store: Store, records: Sequence[RunRecord], calibrated: Costs | None
) -> tuple[str, Costs | None]:
    """Return what was measured, and where, for people."""
    base = store.read_base()
    found = costs_of(records, base) if base else None
    if found is None:
        return "a calibration on this machine", calibrated
    source = f"{len(records)} finished runs in {store.out}"
    if calibrated is None:
        return source, found
    found = found.model_copy(update={"start_seconds": calibrated.start_seconds})
    if set(calibrated.methods) <= set(found.methods):
        return source, found
    methods = {**calibrated.methods, **found.methods}
    both = found.model_copy(update={"methods": methods})
    return f"{source} and a calibration on this machine", both


def _calibrated(study: Study, device: str) -> Costs | None:
    file = calibration_file(study, device)
    try:
        return Costs.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        raise UserError(f"{file}: damaged; `lorasweep plan STUDY --calibrate` renews it") from None


def _records(store: Store, lock: Lock | None) -> dict[str, RunRecord]:
    """Return the records of a folder's runs, by their work."""
    runs = [run for pack in lock.packs for run in pack.runs] if lock else []
    found = {_locked_work(run): store.read_run(run.id) for run in runs}
    return {work: record for work, record in found.items() if record is not None}


def _work(run: PlannedRun) -> str:
    return canonical_json(run.work)


def _locked_work(run: LockedRun) -> str:
    """Return the work of a run that was decided, as a plan writes it."""
    return _work(
        PlannedRun(run.configuration, tuple(run.modules), run.trainable_parameters, run.scale, "")
    )
