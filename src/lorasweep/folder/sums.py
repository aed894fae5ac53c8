"""What a record says of its files: a SHA-256 for each, and which must be there at all."""

import json
from collections.abc import Iterable
from pathlib import Path

from lorasweep.folder.files import ASIDE
from lorasweep.folder.records import BaseRecord, RunRecord
from lorasweep.folder.scores import EVAL_LOSS, Scores
from lorasweep.hub.checksums import sha256_of

RECORD = "record.json"
HISTORY, RUNGS, LOSSES = "history.jsonl", "rungs.jsonl", "losses.json"
# What a run's folder holds of its weights, by the method of its training.
WEIGHTS = {"full": ("model/config.json",)}
ADAPTER = ("adapter/adapter_config.json", "adapter/adapter_model.safetensors")


def sums_of(folder: Path, names: Iterable[str] | None = None) -> dict[str, str]:
    """Map files of a record's folder to their SHA-256: these, or all but the record."""
    found = sorted(names_in(folder) if names is None else names)
    return {name: sha256_of(folder / name) for name in found}


def names_in(folder: Path) -> list[str]:
    """Return the paths of all files in a record's folder but the record and what is aside."""
    files = (path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder) for path in files]
    return [
        name.as_posix()
        for name in names
        if name.as_posix() != RECORD and not any(map(ASIDE.match, name.parts))
    ]


def sums_in_record(folder: Path) -> dict[str, str]:
    """Return what the record in a folder says of its files; nothing where there is none to read.

    A record that cannot be read has its own error, which is raised where it is read as a record.
    """
    try:
        found = json.loads((folder / RECORD).read_bytes())["files"]
        return dict(found)
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def predictions_name(decoder: str, role: str = "eval") -> str:
    """Return the path of a decoder's predictions in a record's folder."""
    return f"{'predictions' if role == 'eval' else f'{role}-predictions'}/{decoder}.parquet"


def claimed(record: RunRecord | BaseRecord) -> list[str]:
    """Return the files that must be there by what a record says, with sums of them or without."""
    names = [*record.files, *_weights(record)] if isinstance(record, RunRecord) else [*record.files]
    if EVAL_LOSS in record.metrics:
        names.append(LOSSES)
    for role, metrics in (("eval", record.metrics), ("test", record.test_metrics)):
        names += [predictions_name(n, role) for n, v in metrics.items() if isinstance(v, Scores)]
    return list(dict.fromkeys(names))


def _weights(run: RunRecord) -> list[str]:
    if run.state != "done":
        return []
    history = [] if run.imported_from else [HISTORY]
    return [*WEIGHTS.get(run.configuration.method, ADAPTER), *history]
