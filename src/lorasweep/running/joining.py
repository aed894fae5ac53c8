"""An adapter trained elsewhere joins a finished study: scored aside, and let in last of all."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lorasweep.folder.files import replaced_folder, write_json
from lorasweep.folder.records import Lock, RunRecord
from lorasweep.folder.run_files import RunFiles
from lorasweep.folder.scores import EVAL_LOSS
from lorasweep.folder.store import Store
from lorasweep.folder.sums import sums_of
from lorasweep.running.missing_scores import with_metrics, with_sums, write_scored
from lorasweep.running.worker.worker import Worker


@dataclass(frozen=True)
class Newcomer:
    """An adapter trained elsewhere: its record, without metrics yet, and its files."""

    record: RunRecord
    folder: Path
    files: tuple[str, ...]


def join(
    newcomer: Newcomer, store: Store, lock: Lock, worker: Worker, decoders: Sequence[str]
) -> Lock:
    """Score a newcomer aside, put it among the runs, and return the lock that has it.

    Whatever is raised before the lock is written, a stop too, leaves the folder as it was. Raises
    UserError where the loss is not finite.
    """
    place = store.run_folder(newcomer.record.id)
    with replaced_folder(place) as aside:
        record = _scored(newcomer, RunFiles(aside), worker, decoders)
        write_json(aside / "record.json", record.model_dump(mode="json"))
    imported = list(dict.fromkeys([*lock.imported, record.id]))
    joined = lock.model_copy(update={"imported": imported})
    try:
        store.write_lock(joined)
    except BaseException:
        if record.id not in lock.imported:
            shutil.rmtree(place, ignore_errors=True)
        raise
    return joined


def _scored(
    newcomer: Newcomer, files: RunFiles, worker: Worker, decoders: Sequence[str]
) -> RunRecord:
    """Write the adapter, its losses and its answers; return its record with all metrics."""

    def copy(folder: Path) -> None:
        for name in newcomer.files:
            shutil.copyfile(newcomer.folder / name, folder / name)

    files.write_adapter(copy)
    record, metrics = newcomer.record, [*decoders, EVAL_LOSS]
    for (scored,) in worker.score_adapters([record], [newcomer.folder], metrics, "eval"):
        write_scored(files, scored)
        record = with_metrics(record, "eval", scored.metrics)
    return with_sums(record, sums_of(files.folder))
