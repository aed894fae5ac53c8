"""Run a study: prepare, agree on a lock, execute what is missing, summarise, analyse, report."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from lorasweep.analysis.naming import run_ids_called
from lorasweep.console.progress import Reporter, notebook_reporter
from lorasweep.console.stopping import stop_switch
from lorasweep.data.selection import Selection
from lorasweep.errors import UserError
from lorasweep.folder.holding import holding
from lorasweep.folder.records import LockedPack
from lorasweep.folder.store import Store
from lorasweep.model.machine import callers_threads
from lorasweep.model.ops.allocator import keep_few_kernels
from lorasweep.report.notebook import Results
from lorasweep.running.executors.executor import Executor
from lorasweep.running.executors.local import HERE
from lorasweep.running.joining import Newcomer
from lorasweep.running.kept import KeptStudy
from lorasweep.running.locking import agree, changes_since, to_resume
from lorasweep.running.prepare import prepare
from lorasweep.running.session import Session
from lorasweep.running.trackers import Trackers
from lorasweep.study.decoders import parse_decoder
from lorasweep.study.study import Study


def run(
    study: Study | Path | str,
    out: Path | str | None = None,
    reporter: Reporter | None = None,
    *,
    track: Sequence[str] = (),
    executor: Executor = HERE,
    selection: Selection | None = None,
) -> Results:
    """Run what a study still lacks in a folder, out/NAME by default, and return all its results.

    `study` may be a study file or a shipped study's name, as on the command line.
    Without a reporter, a notebook shows the progress.
    Packs run in this process unless an executor takes them elsewhere.
    Everything finished stays on disk if this is interrupted; the next call goes on from there.
    `track` names experiment trackers that hear of every run when it is finished. `selection` are
    the study's questions where they were chosen already.
    Raises UserError for a study that cannot be run, before anything is written.
    """
    loaded = study if isinstance(study, Study) else Study.load(study)
    folder = Path("out") / loaded.name if out is None else Path(out)
    with _reporting(reporter) as told:
        return _run(loaded, Store(folder), told, track=track, executor=executor,
                    selection=selection)  # fmt: skip


def decode(out: Path | str, decoders: Sequence[str], reporter: Reporter | None = None) -> Results:
    """Answer by more decoders in the folder of a finished study, and return all its results.

    The study is the one in the folder's lock; what a decoder has answered is not done again.
    Raises UserError for a decoder that is not known, and for a study that is not finished.
    """
    for name in decoders:
        parse_decoder(name)
    kept = KeptStudy.of(out)
    names = list(dict.fromkeys([*kept.study.evaluate.decoders, *decoders]))
    evaluate = kept.study.evaluate.model_copy(update={"decoders": names})
    more = kept.study.model_copy(update={"evaluate": evaluate})
    with _reporting(reporter) as told:
        return _run(more, kept.store, told, kept)


def resume(out: Path | str, runs: Sequence[str], reporter: Reporter | None = None) -> Results:
    """Train runs that lost a race to their end and score them; return all results of the study.

    `runs` are ids, labels, or beginnings of them that mean one run. Interrupted, the same call goes
    on. Raises UserError for a run that was not stopped, and for a
    study that is not finished.
    """
    kept = KeptStudy.of(out)
    packs = to_resume(kept.store, run_ids_called(kept.store, list(runs)))
    with _reporting(reporter) as told:
        return _run(kept.study, kept.store, told, kept, resumed=packs)


def join(kept: KeptStudy, newcomer: Newcomer, reporter: Reporter | None = None) -> Results:
    """Score an adapter trained elsewhere beside the runs of a finished study; return all results.

    It is scored aside and joins last: what fails before, or a stop, leaves the folder as it was.
    Raises UserError where it cannot be scored, and for a study that is not finished.
    """
    with _reporting(reporter) as told:
        return _run(kept.study, kept.store, told, kept, newcomer=newcomer)


def _reporting(reporter: Reporter | None) -> AbstractContextManager[Reporter]:
    return notebook_reporter() if reporter is None else nullcontext(reporter)


def _run(
    study: Study,
    store: Store,
    reporter: Reporter,
    kept: KeptStudy | None = None,
    track: Sequence[str] = (),
    executor: Executor = HERE,
    resumed: Sequence[LockedPack] = (),
    newcomer: Newcomer | None = None,
    selection: Selection | None = None,
) -> Results:
    """Do what the folder lacks; with `kept`, its own study, which is finished, nothing trains."""
    if study.race and not executor.in_order:
        raise UserError(
            "[race] compares a pack with those that ended before it, so packs must run one after "
            "another: leave out --executor ray, or [race]"
        )
    # Before the first product, which may be one that finds the machine's precision.
    keep_few_kernels()
    trackers = Trackers(track, store.out, reporter.note)
    prepared = prepare(study, selection, kept.base[1] if kept else None)
    for warning in prepared.warnings:
        reporter.note(f"warning: {warning}")
    with holding(store.out), callers_threads(), stop_switch(reporter.note) as stop:
        lock = agree(store, prepared, executor)
        for change in changes_since(lock):
            reporter.note(f"warning: {change}")
        if (lock.precision, lock.device) == ("fp16", "cpu"):
            reporter.note("warning: fp16 is for cards; a processor multiplies it slowly")
        store.remove_leftovers()
        session = Session(prepared, lock, store, reporter, trackers, stop, executor, resumed)
        session.run(may_train=kept is None, newcomer=newcomer)
        return Results.load(store.out)
