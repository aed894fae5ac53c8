"""Who won is decided once: star, colours, p value, interval and sentence of a run agree."""

from pathlib import Path

import numpy as np
import pytest
from invented_answers import make_run, predictions, write

from lorasweep.analysis.results import with_analysis
from lorasweep.errors import UserError
from lorasweep.folder.findings import BASE
from lorasweep.folder.records import Results
from lorasweep.folder.scores import Prediction, Scores
from lorasweep.folder.store import Store
from lorasweep.report.blocks import Figure, Items, Section
from lorasweep.report.load import Outcome
from lorasweep.report.sections.results.comparisons import comparisons
from lorasweep.report.sections.results.cost import cost
from lorasweep.report.sections.results.scores import leaderboard, summary
from lorasweep.report.tables import Table
from lorasweep.report.words.language import Strings

SAY = Strings.load("en")
NUM_QUESTIONS = 120


def answers(rng: np.random.Generator, share: float) -> list[Prediction]:
    """Answers of which about a share is right, more of them in some paragraphs than in others."""
    ease = np.repeat(rng.normal(0, 0.2, NUM_QUESTIONS // 4), 4)
    rows = predictions((rng.random(NUM_QUESTIONS) < share + ease).tolist())
    partly = rng.random(NUM_QUESTIONS) < 0.3
    return [
        row.model_copy(update={"scores": row.scores | {"f1": 0.4}})
        if some and not row.scores["f1"]
        else row
        for row, some in zip(rows, partly, strict=True)
    ]


def analysed(out: Path, seed: int, apart: float, num_runs: int = 5) -> Outcome:
    """Invent runs whose shares of right answers lie up to `apart` below the best one's."""
    rng = np.random.default_rng(seed)
    shares = [0.8 - apart * rng.random() for _ in range(num_runs)]
    runs = [make_run(index) for index in range(num_runs)]
    rows = {run.id: answers(rng, s) for run, s in zip(runs, shares, strict=True)}
    store = write(out, runs, rows | {BASE: answers(rng, 0.3 + 0.3 * rng.random())})
    for run in runs:
        marks = 100 * np.array(
            [[r.scores["exact_match"], r.scores["f1"]] for r in rows[run.id]]
        ).mean(axis=0)
        greedy = run.metrics["greedy"]
        assert not isinstance(greedy, float)
        update = {"exact_match": marks[0], "f1": marks[1]}
        run.metrics["greedy"] = Scores.model_validate(greedy.model_dump() | update)
    results = store.read_results().model_copy(update={"runs": runs})
    store.write_results(results)
    return Outcome(store, with_analysis(store, UserError("no questions")))


def table(section: Section, id: str) -> dict[str, dict[str, object]]:
    (found,) = [block for block in section.blocks if isinstance(block, Table) and block.id == id]
    keys = [column.key for column in found.columns]
    return {str(row[0]): dict(zip(keys, row, strict=True)) for row in found.rows}


def classes(section: Section, figure: str) -> dict[str, str]:
    (found,) = [b for b in section.blocks if isinstance(b, Figure) and b.id == figure]
    return {row["name"]: row["group"] for row in found.spec["datasets"]["points"]}


@pytest.mark.parametrize("apart", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("seed", range(4))
def test_star_colours_p_value_interval_and_sentence_agree(
    tmp_path: Path, seed: int, apart: float
) -> None:
    outcome = analysed(tmp_path, seed, apart)
    board, won = leaderboard(outcome, SAY), comparisons(outcome, SAY)
    stars, scores = table(board, "leaderboard"), classes(board, "f1")
    rows, differences = table(won, "comparisons"), classes(won, "differences")
    costs = classes(cost(outcome, SAY), "f1_parameters")
    (sentences,) = [b.items for b in won.blocks if isinstance(b, Items) and len(b.items) > 4]
    analysis = outcome.results.analysis
    assert analysis is not None
    found = analysis.decoders["greedy"]
    assert found.tied_best is not None
    best = outcome.names[found.best or ""]
    for each, sentence in zip(found.comparisons, sentences, strict=False):
        name = "base model" if each.run == BASE else outcome.names[each.run]
        is_behind = each.rank.adjusted_p_value <= 0.05
        assert ("not shown to differ" in sentence) != is_behind
        assert rows[name]["f1_adjusted_p_value"] == each.rank.adjusted_p_value
        low, high = each.rank.interval or (0.0, 0.0)
        assert (low * high > 0) == is_behind
        if each.run != BASE:
            assert found.tied_best.p_values[each.run] == each.rank.adjusted_p_value
            assert (stars[name]["tied"] == "★") != is_behind
            assert scores[name] == differences[name]
            assert (scores[name] == "behind the best") == is_behind
            assert (costs[name] == scores[best]) != is_behind
    assert stars[best]["tied"] == "★"
    assert "no" in {row["tied"] for row in stars.values()} or apart < 0.6


def test_one_best_run_is_not_called_tied(tmp_path: Path) -> None:
    outcome = analysed(tmp_path, 3, 0.0, 1)
    groups = set(classes(leaderboard(outcome, SAY), "f1").values())
    assert groups == {"the best", "base model"}


def all_wrong(out: Path, f1: float) -> Results:
    runs = [make_run(index) for index in range(3)]
    for run in runs:
        greedy = run.metrics["greedy"]
        assert not isinstance(greedy, float)
        update = {"exact_match": 0.0, "f1": 100 * f1}
        run.metrics["greedy"] = Scores.model_validate(greedy.model_dump() | update)
    wrong = [
        row.model_copy(update={"scores": row.scores | {"f1": f1}})
        for row in predictions([False] * 40)
    ]
    store = write(out, runs, {run.id: wrong for run in runs})
    return with_analysis(store, UserError("no questions"))


@pytest.mark.parametrize("language", ["en", "fa"])
@pytest.mark.parametrize("f1", [0.0, 0.1])
def test_where_nothing_is_right_the_page_says_what_helps(
    tmp_path: Path, f1: float, language: str
) -> None:
    results, say = all_wrong(tmp_path, f1), Strings.load(language)
    assert results.analysis is not None
    assert results.analysis.decoders["greedy"].tied_best is not None
    stored = results.analysis.decoders["greedy"].tied_best.sentence
    written = " ".join(
        getattr(block, "text", "")
        for block in summary(Outcome(Store(tmp_path), results), say).blocks
    )
    assert say("sentences.nothing_right") in written
    assert stored.startswith("No run gives a right answer")
    assert ("tied for best" in stored) == bool(f1)


def test_results_of_two_rules_are_called_outdated(tmp_path: Path) -> None:
    outcome = analysed(tmp_path, 0, 0.0)
    analysis = outcome.results.analysis
    assert analysis is not None
    found = analysis.decoders["greedy"]
    first = found.comparisons[0]
    shown = first.model_copy(
        update={"scores": first.scores | {"f1": first.rank.model_copy(update={"is_shown": True})}}
    )
    older = found.model_copy(update={"comparisons": [shown, *found.comparisons[1:]]})
    results = outcome.results.model_copy(
        update={"analysis": analysis.model_copy(update={"decoders": {"greedy": older}})}
    )
    says = [
        getattr(b, "text", "") for b in comparisons(Outcome(outcome.store, results), SAY).blocks
    ]
    assert SAY("comparisons.outdated") in says
    now = [getattr(block, "text", "") for block in comparisons(outcome, SAY).blocks]
    assert SAY("comparisons.outdated") not in now


def test_a_standing_has_one_colour_and_one_mark_in_both_charts(tmp_path: Path) -> None:
    outcome = analysed(tmp_path, 1, 0.6)
    scales = []
    for section, figure in ((leaderboard, "f1"), (comparisons, "differences")):
        (found,) = [
            b for b in section(outcome, SAY).blocks if isinstance(b, Figure) and b.id == figure
        ]
        dots = found.spec["layer"][-1]["encoding"]
        scales.append([
            dict(zip(scale["domain"], scale["range"], strict=True))
            for scale in (dots["color"]["scale"], dots["shape"]["scale"])
        ])  # fmt: skip
    for both in zip(*scales, strict=True):
        shared = set.intersection(*map(set, both))
        assert {"behind the best", "base model"} <= shared
        assert all(len({of[group] for of in both}) == 1 for group in shared)
