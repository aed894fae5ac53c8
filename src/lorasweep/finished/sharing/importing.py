"""Import a PEFT adapter trained elsewhere: it is scored beside a study's own runs."""

import hashlib
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from lorasweep.console.progress import Reporter
from lorasweep.errors import UserError, nearest
from lorasweep.folder.holding import holding
from lorasweep.folder.records import Lock, PackInfo, Results, RunRecord
from lorasweep.folder.store import Store
from lorasweep.hub.architectures import linear_modules
from lorasweep.hub.models import HUB_ID, NOTE_FILE, hub_id_of, read_config
from lorasweep.model.machine import versions
from lorasweep.model.peft_format import CONFIG, WEIGHTS, SavedAdapter, load_adapter
from lorasweep.running import driver
from lorasweep.study.fingerprint import fingerprint
from lorasweep.study.grid import ImportedConfiguration
from lorasweep.study.study import Study

NOT_KNOWN_PACK = PackInfo(id="imported", lanes=1, seconds=0.0)


def import_adapter(
    folder: Path, out: Path, name: str | None = None, reporter: Reporter | None = None
) -> Results:
    """Score an adapter on a finished study's questions, and return all its results.

    Raises UserError, and changes nothing, for what cannot be represented: kinds other than plain
    LoRA, adapters of other base models, and studies that are not finished.
    """
    store = Store(out)
    lock = store.read_lock()
    if lock is None:
        raise UserError(f"no study in {out}: run `lorasweep run STUDY --out {out}` first")
    adapter = load_adapter(folder)
    base = Study.parse(lock.study, str(store.lock_file)).model.base
    _refuse_other_base(folder, adapter, base)
    record = _record(folder, adapter, lock, _name(name or folder.resolve().name))
    with holding(store.out):
        _refuse_unfinished(store, lock)
        if record.id not in lock.imported:
            _keep(store, lock, folder, record)
    return driver.decode(out, [], reporter)


def _name(name: str) -> str:
    """Return the name that people see, on one line and without what a table could stumble on."""
    if not (short := re.sub(r"[^\w.+ -]+", "-", name).strip()[:60]):
        raise UserError(f"--name {name!r}: needs letters or digits")
    return short


def _refuse_other_base(folder: Path, adapter: SavedAdapter, base: str) -> None:
    """Raise UserError where the adapter names another base model, or does not fit on this one.

    A local folder's name tells nothing of what is in it: then shapes alone decide.
    """
    ours, named = hub_id_of(base), _hub_name(adapter.base)
    if ours and named and ours != named:
        raise UserError(f"{folder}: an adapter of {named}, but this study's base model is {ours}")
    shapes = {m.name: (m.in_features, m.out_features) for m in linear_modules(read_config(base))}
    for module, (A, B) in adapter.weights.items():
        if module not in shapes:
            raise UserError(f"{folder}: {base} has no {module}{nearest(module, shapes)}")
        if (A.shape[1], B.shape[0]) != shapes[module] or A.shape[0] != B.shape[1]:
            wanted, found = "{} to {}".format(*shapes[module]), f"{A.shape[1]} to {B.shape[0]}"
            raise UserError(f"{folder}: {module} maps {found} numbers, but in {base} {wanted}")


def _hub_name(name: str) -> str | None:
    """Return what the Hub calls the base of an adapter's config; None for anything else there."""
    known = hub_id_of(name) if not Path(name).is_absolute() else None
    return known if known and HUB_ID.fullmatch(known) else None


def _record(folder: Path, adapter: SavedAdapter, lock: Lock, name: str) -> RunRecord:
    """Return the record of an adapter of whose training nothing is known; it has no metrics yet."""
    rank = max(A.shape[0] for A, _ in adapter.weights.values())
    content = hashlib.sha256((folder / WEIGHTS).read_bytes() + (folder / CONFIG).read_bytes())
    return RunRecord(
        id=fingerprint({"imported": content.hexdigest(), "facts": lock.facts}),
        state="done",
        label=f"imported {name}",
        configuration=ImportedConfiguration(
            rank=rank, alpha=adapter.scale * rank, dropout=adapter.dropout
        ),
        modules=list(adapter.weights),
        trainable_parameters=sum(A.numel() + B.numel() for A, B in adapter.weights.values()),
        scale=adapter.scale,
        num_train_questions=0,
        num_epochs=0,
        num_steps=0,
        pack=NOT_KNOWN_PACK,
        train_seconds=0.0,
        peak_memory_bytes=0,
        warnings=list(_warnings(adapter, lock)),
        precision=lock.precision,
        versions=versions(),
        imported_from=name,
    )


def _warnings(adapter: SavedAdapter, lock: Lock) -> Iterable[str]:
    """Say what makes an adapter answer otherwise here than where it was trained."""
    if _hub_name(adapter.base) is None:
        yield f"its config names no base model of the Hub ({adapter.base}); its shapes fit this one"
    trained_on = adapter.trained_on
    if trained_on and trained_on.precision != lock.precision:
        yield f"trained on weights in {trained_on.precision}, scored on weights in {lock.precision}"


def _refuse_unfinished(store: Store, lock: Lock) -> None:
    runs = [run.id for pack in lock.packs for run in pack.runs]
    if not store.results_file.is_file() or any(store.read_run(run) is None for run in runs):
        raise UserError(
            f"{store.out}: this study has runs that are not finished: "
            f"`lorasweep run STUDY --out {store.out}` first"
        )


def _keep(store: Store, lock: Lock, folder: Path, record: RunRecord) -> None:
    """Copy the adapter's files into the study; the lock, which makes it a run, comes last."""

    def copy(aside: Path) -> None:
        for name in (CONFIG, WEIGHTS, NOTE_FILE):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, aside / name)

    store.of_run(record.id).write_adapter(copy)
    store.write_run(record)
    store.write_lock(lock.model_copy(update={"imported": [*lock.imported, record.id]}))
