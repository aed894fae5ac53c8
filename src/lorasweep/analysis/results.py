"""results.json: every run and configuration of a study with its metrics, from what is on disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from lorasweep.analysis.analyse import analyse
from lorasweep.analysis.gaps import with_gaps
from lorasweep.analysis.naming import id_called
from lorasweep.analysis.questions import questions_of
from lorasweep.data.examples import Group
from lorasweep.errors import UserError
from lorasweep.folder.halving import cuts_of
from lorasweep.folder.holding import holding
from lorasweep.folder.records import SCHEMA, BaseRecord, DataCard, Failure, Lock, Results, RunRecord
from lorasweep.folder.run_files import RunFiles
from lorasweep.folder.scores import Prediction, Scores, scores_of
from lorasweep.folder.store import Store
from lorasweep.scoring.answer_scores import Scoring, sign_of
from lorasweep.scoring.answer_scores import scores_of as scores_of_answers
from lorasweep.study.plan import Plan
from lorasweep.study.sections import Unit

R = TypeVar("R", BaseRecord, RunRecord)


def summarise(
    store: Store,
    lock: Lock,
    plan: Plan,
    ids: Sequence[str],
    cards: Mapping[str, DataCard],
    warnings: Sequence[str],
) -> Results:
    """Gather the records of the plan's runs and of imported ones, as far as they are finished."""
    base = store.read_base()
    assert base is not None, "the base model is scored before anything is summarised"
    records = (store.read_run(run_id) for run_id in ids)
    runs = [
        record.model_copy(update={"label": run.label})
        for run, record in zip(plan.runs, records, strict=True)
        if record is not None
    ]
    runs += [record for run_id in lock.imported if (record := store.read_run(run_id))]
    evaluate = plan.study.evaluate
    best = ranked_runs(runs, evaluate.rank_decoder)[:1]
    return Results(
        schema=SCHEMA,
        study=plan.study.name,
        base=base,
        runs=runs,
        configurations=_configurations(plan, ids),
        chosen=best[0].id if best else None,
        warnings=[*warnings, *cuts_of(lock, set(ids)), *_failures(runs)],
        data=dict(cards),
        recipe=plan.study.recipe.model_dump(mode="json"),
        race=plan.study.race,
        prompt=plan.study.data.prompt,
        versions=lock.versions,
        form=plan.study.data.form,
        rank_by=evaluate.rank_by,
        rank_decoder=evaluate.rank_decoder,
    )


def with_analysis(
    store: Store, paragraphs: Sequence[Group] | UserError, unit: Unit = "paragraph"
) -> Results:
    """Analyse what results.json sums up, write it there, and return it; see `analyse`.

    Intervals of the scores are of the same kind; records keep those that they were written with.
    """
    analysis, results = analyse(store, paragraphs, unit), store.read_results()
    results = with_gaps(store, results).model_copy(
        update={
            "analysis": analysis,
            "base": _by_clusters(store.of_base, results.base, unit),
            "runs": [_by_clusters(store.of_run(run.id), run, unit) for run in results.runs],
        }
    )
    store.write_results(results)
    return results


def _by_clusters(files: RunFiles, record: R, unit: Unit) -> R:
    """Return a record whose scores have intervals over paragraphs, or over articles."""
    update = {
        name: {
            metric: _rescored(found, files.read_predictions(metric, role), unit)
            if isinstance(found, Scores) and found.clusters != unit
            else found
            for metric, found in metrics.items()
        }
        for name, role, metrics in (
            ("metrics", "eval", record.metrics),
            ("test_metrics", "test", record.test_metrics),
        )
    }
    return record.model_copy(update=update)


def _rescored(scores: Scores, rows: Sequence[Prediction], unit: Unit) -> Scores:
    if not rows:
        return scores
    how = Scoring(scores.rank_by, unit)
    return scores_of_answers(rows, scores.seconds_per_question, scores.samples, how)


def analyse_folder(out: Path, unit: Unit | None = None) -> Results:
    """Analyse a finished study's folder anew, without training.

    `unit` is what is taken for independent; None takes what the study says.

    Raises UserError where it holds no results or another lorasweep is at work in it.
    """
    store = Store(out)
    results, lock = store.read_results(), lock_of(store)
    with holding(store.out):
        store.remove_leftovers()
        try:
            paragraphs: Sequence[Group] | UserError = questions_of(lock, results.data.get("eval"))
        except UserError as error:
            paragraphs = error
        study_unit: Unit = lock.study.get("evaluate", {}).get("clusters", "paragraph")
        return with_analysis(store, paragraphs, unit or study_unit)


def lock_of(store: Store) -> Lock:
    """Return the decisions of a study's folder; raises UserError where there are none."""
    lock = store.read_lock()
    if lock is None:
        raise UserError(f"no {store.lock_file}, which says what the runs were scored on")
    return lock


def _configurations(plan: Plan, ids: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {**point.model_dump(), "run": ids[index]}
        for point, index in zip(plan.configurations, plan.run_of, strict=True)
    ]


def _failures(runs: Sequence[RunRecord]) -> list[str]:
    trained = [
        f"{run.label} failed: its {run.failure.quantity} was {run.failure.value} "
        f"at step {failed_step(run.failure)}"
        for run in runs
        if run.failure is not None
    ]
    # An adapter from elsewhere fails in no step: its last warning says why.
    foreign = [
        f"{run.label} failed: {run.warnings[-1]}"
        for run in runs
        if run.state == "failed" and run.failure is None and run.warnings
    ]
    return trained + foreign


def failed_step(failure: Failure) -> int:
    """Return the step at which a run failed, counted from 1 as people see it.

    On disk steps are counted from 0; evaluations come after as many steps.
    """
    return failure.step + (failure.quantity != "evaluation loss")


def ranked(results: Results, decoder: str | None = None) -> list[RunRecord]:
    """Return the finished runs from the best to the worst, by a decoder's answers."""
    return ranked_runs(results.runs, decoder or results.rank_decoder)


def ranked_runs(runs: Sequence[RunRecord], decoder: str) -> list[RunRecord]:
    """Return the runs that are done from the best to the worst; equal ones in their order."""
    scored = [(scores_of(run.metrics, decoder), run) for run in runs if run.state == "done"]
    found = [(sign_of(s.rank_by) * s.rank.mean, run) for s, run in scored if s is not None]
    return [run for _, run in sorted(found, key=lambda pair: -pair[0])]


def for_test(results: Results) -> list[RunRecord]:
    """Return the runs to score on the test set: the best one, and the best full fine-tuning."""
    best_first = ranked(results)
    full = [run for run in best_first if run.configuration.method == "full"]
    return list({run.id: run for run in (*best_first[:1], *full[:1])}.values())


def run_called(results: Results, name: str) -> RunRecord:
    """Return the finished run that a name means: an id, a label, a beginning of either, or "best".

    Raises UserError for a name that means no run or several, and for a run that failed.
    """
    wanted = id_called(name, results.names, results.study, results.chosen)
    run = next(run for run in results.runs if run.id == wanted)
    if run.state != "done":
        raise UserError(f"run {name!r} has {run.state}: it left nothing to use")
    return run
