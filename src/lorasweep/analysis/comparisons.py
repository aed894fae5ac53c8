"""Which runs may be the best, how far the others lie behind, and what that cost."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lorasweep.analysis.answers import Answers, in_order_of
from lorasweep.folder.findings import Comparison, Costs, Difference, Power, SeedSpread, TiedBest
from lorasweep.folder.records import RunRecord
from lorasweep.folder.scores import Prediction
from lorasweep.folder.stored import Interval
from lorasweep.scoring.answer_scores import (
    UNBOUNDED,
    by_question,
    clusters_of,
    factor_of,
    marks_of,
    sign_of,
)
from lorasweep.scoring.stats import paired, seeds
from lorasweep.scoring.stats.all_pairs import differences_at, differences_from_chosen
from lorasweep.scoring.stats.clusters import Floats
from lorasweep.scoring.stats.intervals import within
from lorasweep.scoring.stats.power import Power as Settling
from lorasweep.scoring.stats.power import questions_to_settle
from lorasweep.study.scorers import shown_name
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
    """Return every other run, and the base model, minus the best run by the score that ranks.

    From the best to the worst, the base model last. p values are corrected for the choice of that
    run by the same scores; those of the score that ranks are the tied-best set's own.
    """
    best, *others = answers.ranking
    others += [len(answers.runs)] if answers.base else []
    rows, apart = [best, *others], len(answers.rank) - len(answers.runs)
    found = {
        answers.rank_by: differences_at(answers.tied_best.steps, answers.rank, answers.clusters)
    }
    marks = {scorer: answers.marks(scorer) for scorer in answers.others}
    found |= {
        scorer: differences_from_chosen(each, best, answers.clusters, apart=apart)
        for scorer, each in marks.items()
    }
    return _compare(
        [answers.ids[row] for row in rows],
        [answers.name(row) for row in rows],
        answers.unit,
        {scorer: [each[row] for row in others] for scorer, each in found.items()},
        _mcnemar({**marks, answers.rank_by: answers.rank}, best, others),
    )


def on_test_set(
    answers_of: Mapping[str, Sequence[Prediction]],
    names: Mapping[str, str],
    unit: Unit,
    rank_by: str = "f1",
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
    others = [name for name in reference[0][0].scores if name != rank_by]
    marks = {
        name: np.array([marks_of(aligned[run], name) for run in ids]) for name in (rank_by, *others)
    }
    clusters = clusters_of(reference, unit)
    return _compare(
        ids,
        [names[run] for run in ids],
        unit,
        {
            name: paired.paired_differences(each[1:], each[0], clusters)
            for name, each in marks.items()
        },
        _mcnemar({name: marks[name] for name in (*others, rank_by)}, 0, range(1, len(ids))),
    )


def power(answers: Answers) -> Power | None:
    """Return what the questions settle between the best run and the next that answers otherwise.

    None where there is no such run.
    """
    best, *others = answers.ranking
    rows = answers.rank_of_runs
    other = next((row for row in others if (rows[row] != rows[best]).any()), None)
    if other is None:
        return None
    wanted = _difference_to_settle(answers.rank_by, rows[best])
    found = questions_to_settle(rows[best] - rows[other], answers.clusters, wanted)
    pair = answers.name(best), answers.name(other)
    return Power(
        runs=(answers.ids[best], answers.ids[other]),
        difference=found.difference,
        num_questions=found.num_questions,
        num_paragraphs=found.num_clusters,
        smallest_difference=found.smallest_difference,
        power=found.power,
        sentence=_power_sentence(pair, found, answers.clusters.num_questions, answers.rank_by),
    )


def seed_spreads(answers: Answers) -> list[SeedSpread]:
    """Return the spread between seeds of each setting that was run with several."""
    settings = [_setting(run) for run in answers.runs]
    spreads = seeds.seed_spreads(answers.rank_of_runs, settings, answers.clusters)
    return [
        _seed_spread(
            [run for run, setting in zip(answers.runs, settings, strict=True)
             if setting == spread.group], spread)
        for spread in spreads
        if spread.num_seeds > 1
    ]  # fmt: skip


def costs(answers: Answers) -> Costs:
    """Return the runs that beat all others as cheap or cheaper, by parameters, time and memory."""
    means = sign_of(answers.rank_by) * answers.rank_of_runs.mean(axis=1)
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
    found: Mapping[str, Sequence[paired.Difference]],
    mcnemar: Sequence[float | None],
) -> list[Comparison]:
    """Tell the differences of all but the first run, or the base model, from the first one."""
    return [
        Comparison(
            run=run,
            against=ids[0],
            rank_by=next(iter(found)),
            scores={
                scorer: _difference(name, names[0], scorer, differences[place], unit)
                for scorer, differences in found.items()
            },
            mcnemar_p_value=mcnemar[place],
        )
        for place, (run, name) in enumerate(zip(ids[1:], names[1:], strict=True))
    ]


def _mcnemar(marks: Mapping[str, Floats], best: int, others: Sequence[int]) -> list[float | None]:
    """Return McNemar's p values by the first scorer that a study can have rights and wrongs by.

    None where marks are neither right nor wrong, as means over draws.
    """
    name = next((name for name in marks if factor_of(name) != UNBOUNDED), None)
    if name is None:
        return [None] * len(others)
    pairs = ((marks[name][row], marks[name][best]) for row in others)
    return [
        paired.mcnemar_exact(a, b) if np.isin([a, b], (0.0, 100.0)).all() else None
        for a, b in pairs
    ]


def _difference(
    name: str, against: str, scorer: str, found: paired.Difference, unit: Unit
) -> Difference:
    if factor_of(scorer) != UNBOUNDED:
        found = within(found, -100.0, 100.0)
    said = paired.sentence(name, against, shown_name(scorer), found, unit, sign_of(scorer))
    assert found.adjusted_p_value is not None
    return Difference(
        mean=found.mean,
        interval=bounds(found.low, found.high),
        p_value=found.p_value,
        adjusted_p_value=found.adjusted_p_value,
        is_shown=found.is_shown,
        reason=found.reason,
        sentence=_capital(said) + ".",
    )


def _best_sentence(answers: Answers, members: Sequence[int], level: float) -> str:
    """Say which runs may be the best one, and where none is right, what helps."""
    tie, runs = _tied_sentence(answers, members, level), len(answers.runs)
    if any(answers.marks(name)[:runs].any() for name in answers.others) or not answers.others:
        return tie
    return f"{NOTHING_RIGHT} {tie}" if answers.rank_of_runs.any() else NOTHING_RIGHT


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


def _difference_to_settle(scorer: str, marks: Floats) -> float:
    """Return a difference that would matter: of shares a point, of others a hundredth."""
    if factor_of(scorer) != UNBOUNDED:
        return DIFFERENCE_TO_SETTLE
    return float(f"{abs(marks.mean()) / 100:.1g}") or DIFFERENCE_TO_SETTLE


def _power_sentence(pair: tuple[str, str], found: Settling, num_questions: int, scorer: str) -> str:
    name = shown_name(scorer)
    between = f"between {pair[0]} and {pair[1]}"
    if found.smallest_difference is None:
        return f"What the questions could settle {between} cannot be said: no spread can be seen."
    settled = (
        f"The {num_questions:,} questions settle a difference of "
        f"{_size(found.smallest_difference, scorer)} {name} {between} "
        f"with {100 * found.power:g} % power"
    )
    if found.num_questions is None:
        return f"{settled}; no number of questions would settle {found.difference:g} {name}."
    return (
        f"{settled}; a difference of {found.difference:g} {name} would take about "
        f"{float(f'{found.num_questions:.2g}'):,.0f} questions."
    )


def _size(difference: float, scorer: str) -> str:
    return f"{difference:.1f}" if factor_of(scorer) != UNBOUNDED else f"{difference:.2g}"


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
