"""Files that records speak of and that are gone: who is left out of the results, and of what."""

from collections.abc import Iterator

from lorasweep.folder.findings import BASE
from lorasweep.folder.records import BaseRecord, Results, RunRecord
from lorasweep.folder.run_files import RunFiles
from lorasweep.folder.scores import EVAL_LOSS, Scores
from lorasweep.folder.store import Store
from lorasweep.folder.sums import HISTORY, LOSSES, predictions_name

# How all these warnings begin, so that those of before are known when it is looked at again.
GONE = "left out of "


def with_gaps(store: Store, results: Results) -> Results:
    """Return the results with a warning for what is left out, in place of those of before."""
    others = [warning for warning in results.warnings if not warning.startswith(GONE)]
    return results.model_copy(update={"warnings": [*others, *gaps(store, results)]})


def gaps(store: Store, results: Results) -> list[str]:
    """Return a line for each file that models lack, and with it what they are left out of."""
    names = {BASE: "the base model", **results.names}
    places: list[tuple[str, BaseRecord | RunRecord, RunFiles]]
    places = [(BASE, results.base, store.of_base)]
    places += [(run.id, run, store.of_run(run.id)) for run in results.runs]
    missing: dict[tuple[str, str], list[str]] = {}
    for who, record, files in places:
        for lack in _lacks(record, files):
            missing.setdefault(lack, []).append(names[who])
    return [
        f"{GONE}{what}, as {file} is gone: {', '.join(who)}; {_remedy(store, file)}"
        for (what, file), who in missing.items()
    ]


def _lacks(record: BaseRecord | RunRecord, files: RunFiles) -> Iterator[tuple[str, str]]:
    """Yield what a model is left out of, and the file in its folder that would bring it in."""
    claimed = []
    for role, metrics in (("eval", record.metrics), ("test", record.test_metrics)):
        decoders = [name for name, found in metrics.items() if isinstance(found, Scores)]
        claimed += [("comparisons of answers", predictions_name(name, role)) for name in decoders]
    if EVAL_LOSS in record.metrics:
        claimed.append(("overfitting", LOSSES))
    if isinstance(record, RunRecord) and record.num_steps:
        claimed.append(("the loss curves", HISTORY))
    yield from (each for each in claimed if not (files.folder / each[1]).is_file())


def _remedy(store: Store, file: str) -> str:
    if file == HISTORY:
        return "only training makes it again, once the run's folder is deleted"
    return f"`lorasweep run STUDY --out {store.out}` makes it again"
