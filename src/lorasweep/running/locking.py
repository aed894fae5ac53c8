"""What is decided once for a study's folder: precision, threads, cuts and packs."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch

from lorasweep.errors import UserError, nearest
from lorasweep.folder.heartbeat import has_checkpoint
from lorasweep.folder.records import Lock, LockedPack, LockedRun
from lorasweep.folder.store import Store
from lorasweep.hub.architectures import linear_modules
from lorasweep.hub.models import read_config
from lorasweep.model.base import DTYPES, chosen_operations
from lorasweep.model.machine import (
    Precision,
    default_device,
    device_memory_bytes,
    resolve_precision,
    versions,
)
from lorasweep.running.executors.executor import Executor
from lorasweep.running.executors.local import HERE
from lorasweep.running.prepare import Prepared, run_ids
from lorasweep.study.plan import PlannedRun, pack_up

# Tokens of a micro-batch, all lanes and padding counted: see docs/log.md.
AUTO_MICRO_TOKENS = {"cpu": 1024, "cuda": 65536}
# Activations of a token, for each input and output of the model's linear maps: SmolLM2 with
# adapters on all of them took 3.7 bytes in bf16 on a card. They may have three quarters of what
# its weights leave.
BYTES_PER_FEATURE = {"fp32": 8, "bf16": 4, "fp16": 4}
SHARE_FOR_ACTIVATIONS = 0.75


def agree(store: Store, prepared: Prepared, executor: Executor = HERE) -> Lock:
    """Return the folder's lock: the one it has, checked and extended by new runs, or a new one.

    Nothing is written. Raises UserError, naming the difference, where the folder was made with
    other facts.
    """
    study = prepared.study
    found = store.read_lock()
    if found is None:
        lock = _new(prepared, store)
    else:
        _refuse_differences(found, prepared, store)
        facts = found.facts | {name: v for name, v in prepared.facts.items() if v is not None}
        update: dict[str, Any] = {"study": study.model_dump(mode="json"), "facts": facts}
        if study.recipe.micro_batch != "auto":
            # Another cut changes memory and speed, not what is learnt.
            update["micro_tokens"] = study.recipe.micro_batch
        lock = found.model_copy(update=update)
    lock = lock.model_copy(update={"wanted": planned_ids(prepared, lock.precision)})
    return _with_new_runs(lock, prepared, executor)


def changes_since(lock: Lock) -> list[str]:
    """Return a warning where versions or operations are not those that a folder was begun with."""
    before = {**lock.versions, **lock.operations}
    now = {**versions(), **chosen_operations(lock.device, lock.precision)}
    changes = [f"{name} {value}, now {now.get(name, 'none')}"
               for name, value in before.items() if now.get(name) != value]  # fmt: skip
    if not changes:
        return []
    return [
        f"this folder was begun with {', '.join(changes)}: what is trained from here on may differ "
        "in its last digits from what would have been"
    ]


def _new(prepared: Prepared, store: Store) -> Lock:
    study, device = prepared.study, default_device()
    precision = resolve_precision(study.model.precision, device)
    micro = study.recipe.micro_batch
    if micro == "auto":
        micro = auto_micro_tokens(device, precision, _shapes(study.model.base))
    return Lock(
        study=study.model_dump(mode="json"),
        facts=prepared.facts,
        precision=precision,
        device=device,
        threads=torch.get_num_threads(),
        micro_tokens=micro,
        versions=versions(),
        operations=chosen_operations(device, precision),
        imported=_imported(store),
    )


def _imported(store: Store) -> list[str]:
    """Return the imported runs of a folder whose lock is gone."""
    folders = sorted((store.out / "runs").glob("*"))
    records = [store.read_run(folder.name) for folder in folders if folder.is_dir()]
    return [record.id for record in records if record and record.imported_from]


def _shapes(base: str) -> Iterator[tuple[int, int]]:
    """Yield inputs and outputs of a model's linear maps; an unknown model is built for them."""
    for module in linear_modules(read_config(base)):
        yield module.in_features, module.out_features


def auto_micro_tokens(device: str, precision: Precision, shapes: Iterable[tuple[int, int]]) -> int:
    """Return the tokens of a micro-batch that suit a device and a model with these linear maps.

    A small card's are fewer, and those of a large model; on a processor the model is not looked at.
    """
    most = AUTO_MICRO_TOKENS[device]
    if device == "cpu":
        return most
    known = list(shapes)
    bytes_of_token = BYTES_PER_FEATURE[precision] * sum(map(sum, known))
    bytes_of_weights = DTYPES[precision].itemsize * sum(map(math.prod, known))
    room_bytes = SHARE_FOR_ACTIVATIONS * (device_memory_bytes(device, 1) - bytes_of_weights)
    return max(1, min(most, int(room_bytes / bytes_of_token)))


def _refuse_differences(lock: Lock, prepared: Prepared, store: Store) -> None:
    before = {**_flat(lock.facts), "model.precision": lock.precision}
    now = _flat(prepared.facts)
    if prepared.study.model.precision != "auto":
        now["model.precision"] = prepared.study.model.precision
    for name, value in now.items():
        # A test set may join a study that had none, and may be left away again.
        if before.get(name) != value and None not in (before.get(name), value):
            raise UserError(
                f"{store.out} was made with another {name}: {before.get(name)!r}, now {value!r}; "
                "choose another folder with --out "
                "(new grid values, seeds and decoders may join this one)"
            )
    if lock.device != (device := default_device()):
        raise UserError(
            f"{store.out} was begun on {lock.device!r}, and torch has {device!r} here; "
            "its runs would not be alike: go on where it was begun, or choose another folder with "
            "--out (`status`, `analyse` and `report` work here too)"
        )


def _flat(facts: dict[str, Any]) -> dict[str, Any]:
    """Name each value of the recipe as the study file does."""
    recipe = {f"recipe.{key}": value for key, value in facts.get("recipe", {}).items()}
    return {name: value for name, value in facts.items() if name != "recipe"} | recipe


def _with_new_runs(lock: Lock, prepared: Prepared, executor: Executor) -> Lock:
    """Add packs for the planned runs that no pack holds yet, sized for where they will run."""
    ids = dict(zip(prepared.plan.runs, planned_ids(prepared, lock.precision), strict=True))
    known = {run.id for pack in lock.packs for run in pack.runs}
    new = [run for run in prepared.plan.runs if ids[run] not in known]
    lanes = prepared.study.pack.lanes
    packs = pack_up(new, lanes, lock.device, first=len(lock.packs)) if new else []
    packs = executor.sized(packs, lock, lanes) if packs else []
    locked = [
        LockedPack(id=pack.id, runs=[_locked(run, ids[run]) for run in pack.runs]) for pack in packs
    ]
    return lock.model_copy(update={"packs": [*lock.packs, *locked]})


def planned_ids(prepared: Prepared, precision: Precision) -> list[str]:
    """Return the run id of each planned run, in the plan's order."""
    return run_ids(prepared.plan, prepared.facts, precision)


def _locked(run: PlannedRun, run_id: str) -> LockedRun:
    return LockedRun(
        id=run_id,
        configuration=run.configuration,
        modules=list(run.modules),
        trainable_parameters=run.trainable_parameters,
        scale=run.scale,
        warnings=list(run.warnings),
    )


def unfinished(packs: Sequence[LockedPack], store: Store, wanted: set[str]) -> list[LockedPack]:
    """Return the packs that hold a wanted run without a record."""
    return [
        pack
        for pack in packs
        if any(run.id in wanted and store.read_run(run.id) is None for run in pack.runs)
    ]


def to_resume(store: Store, wanted: Sequence[str]) -> list[LockedPack]:
    """Return a pack for each wanted run, in which it goes on after it lost a race.

    A run that an earlier call has resumed to its end needs none. Raises UserError for a run that
    the folder does not have, or that was not stopped.
    """
    lock = store.read_lock()
    runs = {run.id: run for pack in lock.packs for run in pack.runs} if lock else {}
    packs = (_resumable(runs, store, run_id) for run_id in dict.fromkeys(wanted))
    return [pack for pack in packs if pack]


def _resumable(runs: Mapping[str, LockedRun], store: Store, run_id: str) -> LockedPack | None:
    if run_id not in runs:
        raise UserError(f"{store.out} has no run {run_id!r}{nearest(run_id, list(runs))}")
    record, pack = store.read_run(run_id), LockedPack.alone(runs[run_id])
    if record and record.stop and record.state == "done":
        return None
    state = record.state if record else "not trained yet"
    if state != "stopped":
        raise UserError(f"run {run_id} was not stopped by a race: it is {state}")
    if not has_checkpoint(store.checkpoints_folder / pack.id):
        raise UserError(
            f"run {run_id} cannot be resumed: {store.checkpoints_folder / pack.id} is gone; "
            f"delete {store.run_folder(run_id)} and run the study again"
        )
    return pack
