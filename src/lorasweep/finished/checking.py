"""Whether the files of a study's folder are what they were when they were written."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from lorasweep.errors import UserError
from lorasweep.folder.records import BaseRecord, Lock, RunRecord
from lorasweep.folder.run_files import RunFiles
from lorasweep.folder.store import Store
from lorasweep.folder.sums import HISTORY, LOSSES, RECORD, RUNGS, claimed, names_in
from lorasweep.hub.checksums import sha256_of
from lorasweep.training.checkpoint import checkpoint_files, is_summed, read_checkpoint

State = Literal["sound", "missing", "damaged", "unverified"]


@dataclass(frozen=True, slots=True)
class Checked:
    """A file, by its path in the study's folder, how it stands, and what to do about it."""

    file: str
    state: State
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as `lorasweep check --json` prints it."""
        return asdict(self)


def check(out: Path) -> list[Checked]:
    """Check every file of a folder but the report; nothing is written.

    What was written with a SHA-256 is sound or damaged, and unverified without one, as in folders
    of before; records, the lock and results.json are sound where they are readable. Raises
    UserError for a folder without a study, and for a lock that cannot be read.
    """
    store = Store(out)
    lock = store.read_lock()
    if lock is None:
        raise UserError(f"no study in {out}: run `lorasweep run STUDY --out {out}` first")
    return [Checked(store.lock_file.name, "sound"), *_files(store, lock)]


def _files(store: Store, lock: Lock) -> Iterator[Checked]:
    yield from _readable(store, store.results_file, store.read_results)
    yield from _of_record(store, store.of_base, store.read_base)
    runs = [run.id for pack in lock.packs for run in pack.runs]
    for run_id in (*runs, *lock.imported):
        files = store.of_run(run_id)
        if (files.folder / RECORD).is_file() or run_id in lock.imported:
            yield from _of_record(store, files, partial(store.read_run, run_id))
    for folder in sorted(store.checkpoints_folder.glob("*")):
        yield from (_checkpoint(store, file) for file in checkpoint_files(folder))


def _of_record(
    store: Store, files: RunFiles, read: Callable[[], BaseRecord | RunRecord | None]
) -> Iterator[Checked]:
    """Check a record and all that it claims, and what lies beside."""
    yield from _readable(store, files.folder / RECORD, read)
    try:
        record = read()
    except UserError:
        return
    names = names_in(files.folder) if files.folder.is_dir() else []
    for name in sorted({*names, *(claimed(record) if record else ())}):
        known = record.files.get(name) if record else None
        yield _checked(store, files, name, known)


def _checked(store: Store, files: RunFiles, name: str, known: str | None) -> Checked:
    path = files.folder / name
    place = _place(store, path)
    remedy = files.made_again if "predictions/" in name or name == LOSSES else files.trained_again
    if not path.is_file():
        return Checked(place, "missing", remedy)
    if known is not None:
        is_sound = sha256_of(path) == known
        return Checked(place, "sound") if is_sound else Checked(place, "damaged", remedy)
    try:
        _read(files, name)
    except UserError:
        return Checked(place, "damaged", remedy)
    return Checked(place, "unverified")


def _read(files: RunFiles, name: str) -> None:
    """Read a file that nothing is known of, where it is of a kind that can be read."""
    folder, _, decoder = name.rpartition("/")
    readers: dict[str, Callable[[], object]] = {
        HISTORY: files.read_history, RUNGS: files.read_rungs, LOSSES: files.read_losses,
    }  # fmt: skip
    if name in readers:
        readers[name]()
    elif folder.endswith("predictions") and decoder.endswith(".parquet"):
        role = folder.removesuffix("predictions").removesuffix("-") or "eval"
        files.read_predictions(decoder.removesuffix(".parquet"), role)


def _readable(store: Store, path: Path, read: Callable[[], object]) -> Iterator[Checked]:
    place = _place(store, path)
    try:
        found = read()
    except UserError as error:
        yield Checked(place, "damaged" if path.exists() else "missing", _after(error))
        return
    if found is None:
        remedy = f"`lorasweep run STUDY --out {store.out}` makes it again"
        yield Checked(place, "missing", remedy)
    else:
        yield Checked(place, "sound")


def _after(error: UserError) -> str:
    """Return what an error says of its remedy, which is its end."""
    return str(error).rpartition("; ")[2]


def _checkpoint(store: Store, file: Path) -> Checked:
    place = _place(store, file)
    try:
        read_checkpoint(file)
    except UserError:
        return Checked(place, "damaged", "the next call takes an older one, or starts anew")
    return Checked(place, "sound" if is_summed(file) else "unverified")


def _place(store: Store, path: Path) -> str:
    return path.relative_to(store.out).as_posix()


def is_whole(found: Iterable[Checked]) -> bool:
    """Say whether nothing is missing or damaged."""
    return all(each.state in ("sound", "unverified") for each in found)
