"""Everything that the records of a study show, for each decoder."""

from collections.abc import Sequence

from lorasweep.analysis.ablation import Tables, ablation
from lorasweep.analysis.answers import Answers, answers_of
from lorasweep.analysis.comparisons import (
    comparisons,
    costs,
    on_test_set,
    power,
    seed_spreads,
    tied_best,
)
from lorasweep.analysis.edges import grid_edges
from lorasweep.analysis.failures import failures
from lorasweep.analysis.overfitting import overfitting
from lorasweep.data.examples import Group
from lorasweep.errors import UserError
from lorasweep.folder.findings import BASE, Analysis, Comparison, DecoderAnalysis
from lorasweep.folder.records import Results, RunRecord
from lorasweep.folder.scores import Scores
from lorasweep.folder.store import Store
from lorasweep.study.sections import Unit

SELECTION_BIAS = (
    "The best run was chosen and scored on the same questions, so its score is optimistic; "
    "a test set (data.test) would tell by how much."
)


def analyse(
    store: Store, paragraphs: Sequence[Group] | UserError, unit: Unit = "paragraph"
) -> Analysis:
    """Return what a folder's results.json and predictions show, by paragraphs or by articles.

    `paragraphs` are the evaluation questions' with their contexts, or why they cannot be had: then
    failures are left out and a note says why. Raises UserError where results.json is missing or a
    file is damaged.
    """
    results = store.read_results()
    lock = store.read_lock()
    grid: Tables = [] if lock is None else lock.study.get("grid", [])
    return Analysis(
        clusters=unit,
        decoders={
            decoder: _of_decoder(store, results, decoder, grid, paragraphs, unit)
            for decoder in _decoders(results)
        },
        overfitting=overfitting(store, results, unit),
    )


def _decoders(results: Results) -> list[str]:
    scored = [results.base.metrics, *(run.metrics for run in results.runs)]
    names = (name for metrics in scored for name, v in metrics.items() if isinstance(v, Scores))
    return list(dict.fromkeys(names))


def _of_decoder(
    store: Store,
    results: Results,
    decoder: str,
    grid: Tables,
    paragraphs: Sequence[Group] | UserError,
    unit: Unit,
) -> DecoderAnalysis:
    answers = answers_of(store, results, decoder, unit)
    if not answers.runs:
        return DecoderAnalysis(notes=["No run has been trained and scored.", *answers.notes])
    best = answers.runs[answers.ranking[0]]
    test = _test(store, results, best, decoder, unit)
    found = DecoderAnalysis(
        best=best.id,
        tied_best=tied_best(answers),
        comparisons=comparisons(answers),
        test=test,
        power=power(answers),
        ablation=ablation(
            answers,
            results.configurations,
            grid_edges(answers, results.configurations, grid, {run.id for run in results.runs}),
        ),
        seeds=seed_spreads(answers),
        costs=costs(answers),
        selection_bias="" if test else SELECTION_BIAS,
        notes=list(answers.notes),
    )
    return _with_failures(found, answers, paragraphs)


def _test(
    store: Store, results: Results, best: RunRecord, decoder: str, unit: Unit
) -> list[Comparison]:
    """Return what else answered the test set, minus the best run, where that answered it."""
    others = [run for run in results.runs if run.test_metrics and run.id != best.id]
    answers = {
        run.id: store.of_run(run.id).read_predictions(decoder, "test") for run in (best, *others)
    }
    answers[BASE] = store.of_base.read_predictions(decoder, "test")
    names = {**results.names, BASE: "the base model"}
    return on_test_set(answers, names, unit, results.rank_by)


def _with_failures(
    found: DecoderAnalysis, answers: Answers, paragraphs: Sequence[Group] | UserError
) -> DecoderAnalysis:
    try:
        if isinstance(paragraphs, UserError):
            raise paragraphs
        return found.model_copy(update={"failures": failures(answers, paragraphs)})
    except UserError as error:
        note = f"Wrong answers are not classified: {error}."
        return found.model_copy(update={"notes": [*found.notes, note]})
