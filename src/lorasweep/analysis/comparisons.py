"""Which runs may be the best, how far the others lie behind, and what that cost."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lorasweep.analysis.answers import Answers, in_order_of, marks
from lorasweep.folder.findings import Comparison, Costs, Difference, Power, SeedSpread, TiedBest
from lorasweep.folder.records import Prediction, RunRecord
from lorasweep.folder.stored import Interval
from lorasweep.scoring.answer_scores import by_question, clusters_of
from lorasweep.scoring.stats import paired, seeds
from lorasweep.scoring.stats.all_pairs import differences_at, differences_from_chosen
from lorasweep.scoring.stats.clusters import Floats
from lorasweep.scoring.stats.intervals import within
from lorasweep.scoring.stats.power import Power as Settling
from lorasweep.scoring.stats.power import questions_to_settle
from lorasweep.study.sections import Unit

# A difference in points that would matter, chosen beforehand.
DIFFERENCE_TO_SETTLE = 1.0
MOST_NAMES = 6
NOTHING_RIGHT = (
    "No run gives a right answer: exact match is 0 on all questions. What helps: more steps "
    "(recipe.epochs, or more data), a higher learning rate, a look at the prompt (data.prompt) and "
    "at what the runs answer."
)


def tied_best(answers: Answers) -> TiedBest:
    """Return the set of runs that may be the best by F1, and what it says in a sentence."""
    found = answers.tied_best
    members = [row for row in answers.ranking if row in found.members]
    return TiedBest(
        members=[answers.ids[row] for row in members],
        p_values={
            run.id: p for run, p in zip(answers.runs, found.p_values, strict=True)
        },
        level=found.level,
        sentence=_best_sentence(answers, members, found.level),
    )  # fmt: skip


def comparisons(answers: Answers) -> list[Comparison]:
    """Return every other run, and the base model, minus the run with the highest F1.

    From the highest F1 to the lowest, the base model last. p values are corrected for the choice
    of that run by the same scores; those of F1 are the tied-best set's own.
    """
    best, *others = answers.ranking
    others += [len(answers.runs)] if answers.base else []
    rows, em = [best, *others], answers.exact_match
    of_f1 = differences_at(answers.tied_best.steps, answers.f1, answers.clusters)
    of_em = differences_from_chosen(em, best, answers.clusters, apart=len(em) - len(answers.runs))
    return _compare(
        [answers.ids[row] for row in rows],
        [answers.name(row) for row in rows],
        answers.unit,
        [of_f1[row] for row in others],
        [of_em[row] for row in others],
        [_mcnemar(em[row], em[best]) for row in others],
    )


def on_test_set(
    answers_of: Mapping[str, Sequence[Prediction]], names: Mapping[str, str], unit: Unit
) -> list[Comparison]:
    """Return each model minus the first one on the test set, which had no part in any choice.

    `answers_of` holds the answers by run id, the chosen run's first; models that answered other
    questions, or none, are left out.
    """
    questions = {run: by_question(rows) for run, rows in answers_of.items()}
    reference = next(iter(questions.values()))
    aligned = {run: in_order_of(reference, rows) for run, rows in questions.items()}
    ids = [run for run, rows in aligned.items() if rows]
    if len(ids) < 2:
        return []
    f1, em = (
        np.array([marks(aligned[run], metric) for run in ids]) for metric in ("f1", "exact_match")
    )
    clusters = clusters_of(reference, unit)
    return _compare(
        ids,
        [names[run] for run in ids],
        unit,
        paired.paired_differences(f1[1:], f1[0], clusters),
        paired.paired_differences(em[1:], em[0], clusters),
        [_mcnemar(row, em[0]) for row in em[1:]],
    )


def power(answers: Answers) -> Power | None:
    """Return what the questions settle between the best run and the next that answers otherwise.

    None where there is no such run.
    """
    best, *others = answers.ranking
    rows = answers.f1_of_runs
    other = next((row for row in others if (rows[row] != rows[best]).any()), None)
    if other is None:
        return None
    found = questions_to_settle(rows[best] - rows[other], answers.clusters, DIFFERENCE_TO_SETTLE)
    pair = answers.name(best), answers.name(other)
    return Power(
        runs=(answers.ids[best], answers.ids[other]),
        difference=found.difference,
        num_questions=found.num_questions,
        num_paragraphs=found.num_clusters,
        smallest_difference=found.smallest_difference,
        power=found.power,
        sentence=_power_sentence(pair, found, answers.clusters.num_questions),
    )


def seed_spreads(answers: Answers) -> list[SeedSpread]:
    """Return the spread between seeds of each setting that was run with several."""
    settings = [_setting(run) for run in answers.runs]
    spreads = seeds.seed_spreads(answers.f1_of_runs, settings, answers.clusters)
    return [
        _seed_spread(
            [run for run, setting in zip(answers.runs, settings, strict=True)
             if setting == spread.group], spread)
        for spread in spreads
        if spread.num_seeds > 1
    ]  # fmt: skip


def costs(answers: Answers) -> Costs:
    """Return the runs that beat all others as cheap or cheaper, by parameters, time and memory."""
    means = answers.f1_of_runs.mean(axis=1)
    return Costs(
        by_parameters=_front(answers, means, lambda run: run.trainable_parameters),
        by_seconds=_front(
            answers, means, lambda run: np.nan if run.imported_from else run.train_seconds
        ),
        by_memory=_front(
            answers, means, lambda run: np.nan if run.imported_from else run.peak_memory_bytes
        ),
    )


def bounds(low: float | None, high: float | None) -> Interval | None:
    """Return both ends as a pair, or None where either is missing."""
    return None if low is None or high is None else (low, high)


def names_in_line(names: Sequence[str]) -> str:
    """Return the first names in a line, and how many more there are."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _setting(run: RunRecord) -> tuple[str, ...]:
    """Return what runs share that differ in their seed only."""
    configuration = run.configuration.model_dump_json(exclude={"seed"})
    return configuration, run.imported_from or "", *run.modules


def _seed_spread(runs: Sequence[RunRecord], spread: seeds.SeedSpread) -> SeedSpread:
    return SeedSpread(
        runs=[run.id for run in runs],
        name=runs[0].label.removesuffix(f" seed{runs[0].configuration.seed}"),
        mean=spread.mean,
        seed_deviation=spread.seed_deviation,
        question_error=spread.question_error,
        interval=bounds(spread.low, spread.high),
        reason=spread.reason,
    )


def _compare(
    ids: Sequence[str],
    names: Sequence[str],
    unit: Unit,
    f1: Sequence[paired.Difference],
    exact_match: Sequence[paired.Difference],
    mcnemar: Sequence[float | None],
) -> list[Comparison]:
    """Tell the differences of all but the first run, or the base model, from the first one."""
    return [
        Comparison(
            run=run,
            against=ids[0],
            f1=_difference(name, names[0], "F1", of_f1, unit),
            exact_match=_difference(name, names[0], "EM", of_em, unit),
            mcnemar_p_value=p_value,
        )
        for run, name, of_f1, of_em, p_value in zip(
            ids[1:], names[1:], f1, exact_match, mcnemar, strict=True
        )
    ]


def _mcnemar(a: Floats, b: Floats) -> float | None:
    """Return McNemar's p value, or None for means over draws, which are neither right nor wrong."""
    whole = np.isin([a, b], (0.0, 100.0)).all()
    return paired.mcnemar_exact(a, b) if whole else None


def _difference(
    name: str, against: str, metric: str, found: paired.Difference, unit: Unit
) -> Difference:
    found = within(found, -100.0, 100.0)
    assert found.adjusted_p_value is not None
    return Difference(
        mean=found.mean,
        interval=bounds(found.low, found.high),
        p_value=found.p_value,
        adjusted_p_value=found.adjusted_p_value,
        is_shown=found.is_shown,
        reason=found.reason,
        sentence=_capital(paired.sentence(name, against, metric, found, unit)) + ".",
    )


def _best_sentence(answers: Answers, members: Sequence[int], level: float) -> str:
    """Say which runs may be the best one, and where none is right, what helps."""
    tie, runs = _tied_sentence(answers, members, level), len(answers.runs)
    if answers.exact_match[:runs].any():
        return tie
    return f"{NOTHING_RIGHT} {tie}" if answers.f1_of_runs.any() else NOTHING_RIGHT


def _tied_sentence(answers: Answers, members: Sequence[int], level: float) -> str:
    names, num_runs = [answers.name(row) for row in members], len(answers.runs)
    percent = f"{100 * level:g} %"
    if num_runs == 1:
        return (
            f"{names[0]} is the only run whose answers can be compared, so there is nothing to "
            "tell it apart from."
        )
    if answers.clusters.num_clusters == 1:
        return f"All questions belong to one {answers.unit}, which cannot tell runs apart."
    if len(names) == 1:
        return f"{names[0]} is the best of {num_runs} runs at the {percent} level."
    which = f"All {num_runs} runs" if len(names) == num_runs else f"{len(names)} of {num_runs} runs"
    return (
        f"{which} are tied for best: {names_in_line(names)}; "
        f"these questions do not tell the others from {names[0]} at the {percent} level."
    )


def _power_sentence(pair: tuple[str, str], found: Settling, num_questions: int) -> str:
    between = f"between {pair[0]} and {pair[1]}"
    if found.smallest_difference is None:
        return f"What the questions could settle {between} cannot be said: no spread can be seen."
    settled = (
        f"The {num_questions:,} questions settle a difference of "
        f"{found.smallest_difference:.1f} F1 {between} with {100 * found.power:g} % power"
    )
    if found.num_questions is None:
        return f"{settled}; no number of questions would settle {found.difference:g} F1."
    return (
        f"{settled}; a difference of {found.difference:g} F1 would take about "
        f"{float(f'{found.num_questions:.2g}'):,.0f} questions."
    )


def _front(answers: Answers, means: Floats, cost_of: Callable[[RunRecord], float]) -> list[str]:
    costs = np.array([cost_of(run) for run in answers.runs])
    cheapest_first = np.lexsort((-means, costs))
    front: list[int] = []
    for row in cheapest_first:
        if np.isnan(costs[row]):  # not known of an imported adapter; these are the last
            break
        if not front or means[row] > means[front[-1]]:
            front.append(int(row))
    return [answers.ids[row] for row in front]


def _capital(sentence: str) -> str:
    """Return the sentence with a capital where it begins with the base model."""
    return "The " + sentence.removeprefix("the ") if sentence.startswith("the ") else sentence
