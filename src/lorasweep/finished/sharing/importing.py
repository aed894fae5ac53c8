"""Import a PEFT adapter trained elsewhere: it is scored beside a study's own runs."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from lorasweep.console.progress import Reporter
from lorasweep.errors import UserError, nearest
from lorasweep.folder.records import Lock, PackInfo, Results, RunRecord
from lorasweep.folder.store import Store
from lorasweep.hub.architectures import linear_modules
from lorasweep.hub.models import HUB_ID, NOTE_FILE, hub_id_of, read_config
from lorasweep.model.machine import versions
from lorasweep.model.peft_config import shown
from lorasweep.model.peft_format import CONFIG, WEIGHTS, SavedAdapter, load_adapter
from lorasweep.running import driver
from lorasweep.running.joining import Newcomer
from lorasweep.running.kept import KeptStudy
from lorasweep.study.fingerprint import fingerprint
from lorasweep.study.grid import ImportedConfiguration

# No path, and nothing of a length that a file system is asked about.
LIKE_A_HUB_NAME = re.compile(r"[\w-][\w.-]{0,95}(/[\w-][\w.-]{0,95})?")
NOT_KNOWN_PACK = PackInfo(id="imported", lanes=1, seconds=0.0)


def import_adapter(
    folder: Path, out: Path, name: str | None = None, reporter: Reporter | None = None
) -> Results:
    """Score an adapter on a finished study's questions, and return all its results.

    Raises UserError, and changes nothing, for what cannot be represented or scored: kinds other
    than plain LoRA, adapters of other base models, numbers that are not finite, and studies that
    are not finished.
    """
    kept = KeptStudy.of(out)
    adapter = load_adapter(folder)
    _refuse_other_base(folder, adapter, kept)
    record = _record(folder, adapter, kept, _name(name or folder.resolve().name))
    _refuse_unfinished(kept.store, kept.lock)
    known = kept.store.read_run(record.id) if record.id in kept.lock.imported else None
    if known is None or known.state == "failed":
        newcomer = Newcomer(record, folder, tuple(_files_of(folder)))
        return driver.join(kept, newcomer, reporter)
    if name and known.label != record.label and reporter:
        reporter.note(
            f"warning: the same files joined before, as {known.label!r}; that is still their name"
        )
    return driver.decode(out, [], reporter)


def _files_of(folder: Path) -> Iterable[str]:
    """Yield the files that are copied; load_adapter has read each of them."""
    return (name for name in (CONFIG, WEIGHTS, NOTE_FILE) if (folder / name).is_file())


def _name(name: str) -> str:
    """Return the name that people see, on one line and without what a table could stumble on."""
    if not (short := re.sub(r"[^\w.+ -]+", "-", name).strip()[:60]):
        raise UserError(f"--name {name!r}: needs letters or digits")
    return short


def _refuse_other_base(folder: Path, adapter: SavedAdapter, kept: KeptStudy) -> None:
    """Raise UserError where the adapter names another base model, or does not fit on this one.

    A local folder's name tells nothing of what is in it: then shapes alone decide.
    """
    base, (where, _) = kept.study.model.base, kept.base
    ours, named = hub_id_of(base), hub_name(adapter.base)
    if ours and named and ours != named:
        raise UserError(f"{folder}: an adapter of {named}, but this study's base model is {ours}")
    shapes = {
        m.name: (m.in_features, m.out_features) for m in linear_modules(read_config(str(where)))
    }
    for module, (A, B) in adapter.weights.items():
        if module not in shapes:
            raise UserError(f"{folder}: {base} has no {module}{nearest(module, shapes)}")
        if (A.shape[1], B.shape[0]) != shapes[module] or A.shape[0] != B.shape[1]:
            wanted, found = "{} to {}".format(*shapes[module]), f"{A.shape[1]} to {B.shape[0]}"
            raise UserError(f"{folder}: {module} maps {found} numbers, but in {base} {wanted}")


def hub_name(name: str) -> str | None:
    """Return what the Hub calls the base of an adapter's config; None for anything else there."""
    known = hub_id_of(name) if LIKE_A_HUB_NAME.fullmatch(name) else None
    return known if known and HUB_ID.fullmatch(known) else None


def _record(folder: Path, adapter: SavedAdapter, kept: KeptStudy, name: str) -> RunRecord:
    """Return the record of an adapter of whose training nothing is known; it has no metrics yet."""
    lock = kept.lock
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
        warnings=list(_warnings(adapter, lock, kept.study.model.base)),
        precision=lock.precision,
        versions=versions(),
        imported_from=name,
    )


def _warnings(adapter: SavedAdapter, lock: Lock, base: str) -> Iterable[str]:
    """Say what makes an adapter answer otherwise here than where it was trained."""
    named = hub_name(adapter.base)
    if named is None:
        said = shown(adapter.base) if adapter.base else "nothing"
        yield f"its config names no base model of the Hub ({said}); its shapes fit this one"
    elif hub_id_of(base) is None:
        yield (
            f"its config names {named}; this study's base is a folder, of whose model no more is "
            "known than that the shapes fit"
        )
    trained_on = adapter.trained_on
    if trained_on and trained_on.precision != lock.precision:
        there = shown(trained_on.precision)
        yield f"trained on weights in {there}, scored on weights in {lock.precision}"


def _refuse_unfinished(store: Store, lock: Lock) -> None:
    runs = [run.id for pack in lock.packs for run in pack.runs]
    if not store.results_file.is_file() or any(store.read_run(run) is None for run in runs):
        raise UserError(
            f"{store.out}: this study has runs that are not finished: "
            f"`lorasweep run STUDY --out {store.out}` first"
        )
