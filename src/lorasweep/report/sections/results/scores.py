"""Summary and leaderboard: what was scored, which run is best, and what its interval allows."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from lorasweep.folder.findings import BASE
from lorasweep.folder.records import BaseRecord, RunRecord
from lorasweep.folder.scores import Scores, eval_loss_of, scores_of
from lorasweep.report.blocks import Block, Fact, Facts, Figure, Notice, Paragraph, Section
from lorasweep.report.charts.run_charts import ScorePoint, score_chart
from lorasweep.report.load import Outcome
from lorasweep.report.ranking import DECODER, Scored, Standing, analysis_of, best_group, standing
from lorasweep.report.sections.method.grid import alpha_of
from lorasweep.report.sections.results.top import agreement
from lorasweep.report.tables import Cell, Column, Kind, Table
from lorasweep.report.words.language import Strings
from lorasweep.report.words.sentences import f1_sentence, tied_sentence

Metrics = dict[str, Scores | float]


def summary(outcome: Outcome, say: Strings) -> Section:
    """Say in plain sentences what was done and what the scores allow to claim."""
    found = standing(outcome.results)
    blocks: list[Block] = [_facts(outcome, found, say), Paragraph(_work(outcome, say))]
    if outcome.results.base.note:
        blocks.append(Notice(say("summary.base_note", note=outcome.results.base.note)))
    if found is None:
        blocks.append(Notice(say("summary.no_scores")))
    else:
        blocks.append(Paragraph(_best(outcome, found, say)))
        blocks.append(Paragraph(_claims(outcome, say)))
    return Section("summary", say("summary.title"), blocks)


def leaderboard(outcome: Outcome, say: Strings) -> Section:
    """List every run and the base model by F1, as a table and as a chart."""
    unit = outcome.results.analysis.clusters if outcome.results.analysis else "paragraph"
    how_to_read = say("leaderboard.how_to_read", clusters=say(f"clusters.{unit}"))
    blocks: list[Block] = [Paragraph(how_to_read)]
    blocks.append(_score_figure(outcome, say) or Notice(say("leaderboard.no_chart")))
    blocks += [_table(outcome, say), *agreement(outcome, say)]
    return Section("leaderboard", say("leaderboard.title"), blocks)


def _facts(outcome: Outcome, found: Standing | None, say: Strings) -> Facts:
    results = outcome.results
    done = sum(run.state == "done" for run in results.runs)
    planned = len(results.runs) + outcome.num_unfinished
    runs = say("summary.runs_done", done=say.integer(done), all=say.integer(planned))
    grid = say.count("summary.configurations", len(results.configurations))
    base = scores_of(results.base.metrics, DECODER)
    return Facts(
        [
            Fact(say("summary.best_run"), *_best_run(outcome, found, say)),
            Fact(say("summary.best_f1"), *_score_texts(found.best.scores if found else None, say)),
            Fact(say("summary.base_f1"), *_score_texts(base, say)),
            Fact(say("summary.runs"), runs, grid),
        ]
    )


def _best_run(outcome: Outcome, found: Standing | None, say: Strings) -> tuple[str, str]:
    if found is None:
        return "–", ""
    if not found.best.scores.rank.mean:
        return "–", say("summary.nothing_right")
    tied = say.count("summary.tied_with", len(found.tied)) if found.tied else ""
    return outcome.names[found.best.run.id], tied


def _score_texts(scores: Scores | None, say: Strings) -> tuple[str, str]:
    if scores is None:
        return "–", say("summary.not_scored")
    if scores.rank.interval is None:
        return say.decimal(scores.rank.mean), say("summary.no_interval")
    return say.decimal(scores.rank.mean), say(
        "summary.interval", range=say.interval(scores.rank.interval)
    )


def _work(outcome: Outcome, say: Strings) -> str:
    results, base = outcome.results, outcome.results.base
    sentences = [
        say.count(
            "summary.work",
            len(results.runs),
            study=results.study,
            configurations=say.count("summary.configurations", len(results.configurations)),
            base=base.name,
            parameters=say.integer(base.num_parameters),
            precision=base.precision,
        )
    ]
    if len(outcome.planned) < len(results.configurations):
        sentences.append(say("summary.shared"))
    if outcome.num_unfinished:
        sentences.append(say.count("summary.unfinished", outcome.num_unfinished))
    for state in ("failed", "stopped"):
        if number := sum(run.state == state for run in results.runs):
            sentences.append(say.count(f"summary.{state}", number))
    return " ".join(sentences)


def _best(outcome: Outcome, found: Standing, say: Strings) -> str:
    scores = found.best.scores
    best = say(
        "summary.best",
        name=outcome.names[found.best.run.id],
        f1=_with_interval(scores, say),
        exact_match=say.decimal(scores.scores["exact_match"].mean),
        questions=say.count("summary.questions", scores.num_questions),
    )
    sentences = [best] if scores.rank.mean else []
    base = scores_of(outcome.results.base.metrics, DECODER)
    if base is None:
        return " ".join([*sentences, say("summary.base_not_scored")])
    sentences.append(say("summary.base", f1=_with_interval(base, say)))
    return " ".join(sentences)


def _with_interval(scores: Scores, say: Strings) -> str:
    if scores.rank.interval is None:
        return say("summary.f1_alone", f1=say.decimal(scores.rank.mean))
    interval = say.interval(scores.rank.interval)
    return say("summary.f1_with_interval", f1=say.decimal(scores.rank.mean), interval=interval)


def _claims(outcome: Outcome, say: Strings) -> str:
    """Say which runs are tied for best, and whether the best one beats the base model."""
    found = analysis_of(outcome.results)
    if found is None or found.tied_best is None:
        return say("summary.not_compared")
    results = outcome.results
    sentences = [tied_sentence(found, results, say)]
    sentences += [f1_sentence(each, results, say) for each in found.comparisons if each.run == BASE]
    sentences += [say("sentences.selection_bias")] if found.selection_bias else []
    return " ".join(sentences)


def _score_figure(outcome: Outcome, say: Strings) -> Figure | None:
    found, base = standing(outcome.results), scores_of(outcome.results.base.metrics, DECODER)
    points = _run_points(outcome, found, say)
    if base is not None:
        points.append(_point(say("leaderboard.base"), say("chart.base"), base))
    if not points:
        return None
    keys = (best_group(outcome.results), "chart.behind", "chart.base", "chart.not_compared")
    groups = [say(key) for key in keys]
    points.sort(key=lambda point: -point.f1)
    chart = score_chart(points, say("leaderboard.base"), groups, say)
    return Figure(
        "f1",
        say("leaderboard.figure"),
        say("leaderboard.figure_caption"),
        _in_words(points, say),
        chart,
    )


def _run_points(outcome: Outcome, found: Standing | None, say: Strings) -> list[ScorePoint]:
    if found is None:
        return []
    groups: dict[str, list[Scored]] = {
        best_group(outcome.results): [found.best, *found.tied],
        "chart.behind": found.behind,
        "chart.not_compared": found.not_compared,
    }
    return [
        _point(outcome.names[each.run.id], say(group), each.scores)
        for group, members in groups.items()
        for each in members
    ]


def _point(name: str, group: str, scores: Scores) -> ScorePoint:
    low, high = scores.rank.interval or (None, None)
    return ScorePoint(name, group, scores.rank.mean, low, high)


def _in_words(points: list[ScorePoint], say: Strings) -> str:
    rows = [f"{point.name} {say.decimal(point.f1)}" for point in points]
    return say("leaderboard.alternative", rows=say.list(rows, most=20))


def _table(outcome: Outcome, say: Strings) -> Table:
    """Sort by F1; what has no scores comes last, in the order of the grid."""
    results = outcome.results
    base = _base_row(results.base, say)
    scored = [(results.base.metrics, base)]
    scored += [(run.metrics, _row(outcome, run, say)) for run in results.runs]
    rows = [row for _, row in sorted(scored, key=lambda pair: _order(pair[0]))]
    caption = say(
        "leaderboard.caption", base=f"{results.base.name} ({results.base.note})".removesuffix(" ()")
    )
    return Table("leaderboard", caption, _columns(say), rows, frozenset({rows.index(base)}))


def _order(metrics: Metrics) -> float:
    scores = scores_of(metrics, DECODER)
    return math.inf if scores is None else -scores.rank.mean


def _columns(say: Strings) -> list[Column]:
    def column(key: str, show: Callable[[Any], str] = str, kind: Kind = "number") -> Column:
        return Column(key, say(f"column.{key}"), show, kind)

    plain, loss = say.plain, partial(say.decimal, digits=3)
    return [
        column("label", kind="text"), column("tied", kind="text"), column("f1", say.decimal),
        column("f1_interval", say.interval, "interval"), column("exact_match", say.decimal),
        column("eval_loss", loss), column("train_loss", loss), column("state", kind="text"),
        column("rank", say.integer), column("lr", say.rate), column("alpha", plain),
        column("dropout", plain), column("targets", kind="text"),
        column("seed", lambda seed: say.figures(str(seed))),
        column("trainable_parameters", say.integer),
        column("train_seconds", say.decimal), column("peak_memory_bytes", say.gibibytes),
    ]  # fmt: skip


def _row(outcome: Outcome, run: RunRecord, say: Strings) -> list[Cell]:
    point = run.configuration
    return [
        outcome.names[run.id], _star(outcome, run, say), *_score_cells(run), run.train_loss,
        say(f"state.{run.state}"),
        point.rank, point.lr, alpha_of(point), point.dropout,
        point.targets, point.seed, run.trainable_parameters,
        None if run.imported_from else run.train_seconds, run.peak_memory_bytes or None,
    ]  # fmt: skip


def _star(outcome: Outcome, run: RunRecord, say: Strings) -> str | None:
    """Mark a run that is tied for best; say nothing of one that was not compared."""
    found = analysis_of(outcome.results)
    if found is None or found.tied_best is None or run.id not in found.tied_best.p_values:
        return None
    return say("leaderboard.tied" if run.id in found.tied_best.members else "leaderboard.behind")


def _base_row(base: BaseRecord, say: Strings) -> list[Cell]:
    nothing: list[Cell] = [None] * 9
    return [say("leaderboard.base"), None, *_score_cells(base), None, say("state.base"), *nothing]


def _score_cells(record: RunRecord | BaseRecord) -> list[Cell]:
    scores, eval_loss = scores_of(record.metrics, DECODER), eval_loss_of(record.metrics)
    if scores is None:
        return [None, None, None, eval_loss]
    return [scores.rank.mean, scores.rank.interval, scores.scores["exact_match"].mean, eval_loss]
