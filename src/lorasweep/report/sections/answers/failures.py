"""Failures: why answers of the best run are wrong, beside the base model's."""

from functools import partial

from lorasweep.folder.findings import Breakdown, Failures, Slice
from lorasweep.report.blocks import Block, Figure, Notice, Paragraph, Section
from lorasweep.report.charts.analysis_charts import Bar, bar_chart
from lorasweep.report.load import Outcome
from lorasweep.report.ranking import analysis_of
from lorasweep.report.tables import Cell, Column, Table
from lorasweep.report.words.language import Strings
from lorasweep.report.words.terms import RIGHT, key_of, term
from lorasweep.scoring.failures.classes import FailureClass

# Aspects of questions, as their strings and tables are called.
ASPECTS = ("question_kind", "expected_type", "answer_length", "context_length", "answer_position",
           "article")  # fmt: skip
# Aspects whose groups are drawn too; the others are tables.
DRAWN = ("question_kind", "answer_length", "context_length")
ORDER = (RIGHT, *FailureClass)


def failures(outcome: Outcome, say: Strings) -> Section:
    """Show classes of wrong answers, groups of questions, and examples."""
    found = analysis_of(outcome.results)
    if found is None or found.failures is None:
        blocks: list[Block] = [Notice(say("failures.none"))]
    else:
        blocks = _blocks(found.failures, outcome.names[found.best or ""], say)
    return Section("failures", say("failures.title"), blocks)


def _blocks(found: Failures, name: str, say: Strings) -> list[Block]:
    by_aspect = {each.aspect.replace(" ", "_"): each for each in found.breakdowns}
    by_class = by_aspect["failure"]
    blocks: list[Block] = [Paragraph(say("failures.how_to_read", name=name))]
    blocks += [_figure(by_class, name, say), _class_table(by_class, found, say)]
    blocks.append(_changes(found, say))
    for key in ASPECTS:
        blocks += [_drawn(key, by_aspect[key], name, say)] if key in DRAWN else []
        blocks.append(_breakdown(key, by_aspect[key], say))
    blocks.append(_examples(found, name, say))
    return blocks


def _figure(by_class: Breakdown, name: str, say: Strings) -> Figure:
    sides = {name: by_class.best, say("leaderboard.base"): by_class.base}
    counts = [
        Bar(term(value, say), side, _count(groups, value))
        for value in _values(by_class)
        for side, groups in sides.items()
        if groups
    ]
    rows = [f"{each.group}, {each.name}: {say.plain(each.value)}" for each in counts]
    return Figure(
        "failures",
        say("failures.figure"),
        say("failures.figure_caption"),
        say("failures.alternative", rows=say.list(rows, most=30)),
        bar_chart(counts, say("chart.answers"), say("chart.answers_of"), say),
    )


def _drawn(key: str, found: Breakdown, name: str, say: Strings) -> Figure:
    base = say("leaderboard.base")
    bars = [
        Bar(
            say("failures.group", value=term(group.value, say), number=say.integer(each.count)),
            side,
            group.rank.mean,
            *(group.rank.interval or (None, None)),
        )
        for each in found.best
        for side, group in ((name, each), (base, _group(found.base, each.value)))
        if group is not None
    ]
    rows = [f"{bar.group}, {bar.name}: {say.decimal(bar.value)}" for bar in bars]
    title = say("failures.drawn", aspect=say(f"failures.{key}"))
    return Figure(
        f"f1_by_{key}",
        title,
        say("failures.drawn_caption"),
        say("failures.drawn_words", title=title, rows=say.list(rows, most=30)),
        bar_chart(bars, say("chart.f1"), say("chart.answers_of"), say, ".1f"),
    )


def _class_table(by_class: Breakdown, found: Failures, say: Strings) -> Table:
    columns = [
        Column("class", say("column.class"), partial(term, say=say)),
        Column("meaning", say("column.meaning"), kind="long"),
        Column("count", say("column.best_count"), say.integer, "number"),
        Column("f1", say("column.best_f1"), say.decimal, "number"),
        Column("base_count", say("column.base_count"), say.integer, "number"),
        Column("mended", say("column.mended"), say.integer, "number"),
        Column("broken", say("column.broken"), say.integer, "number"),
    ]
    rows = [_class_row(value, by_class, found, say) for value in _values(by_class)]
    return Table("failures", say("failures.caption"), columns, rows)


def _class_row(value: str, by_class: Breakdown, found: Failures, say: Strings) -> list[Cell]:
    best, meaning = _group(by_class.best, value), say(f"meaning.{key_of(value)}")
    row: list[Cell] = [
        value,
        meaning,
        _count(by_class.best, value),
        best.rank.mean if best else None,
    ]
    if found.changes is None:
        return [*row, None, None, None]
    wrong = value != RIGHT
    mended, broken = (
        side.get(value, 0) if wrong else None
        for side in (found.changes.mended, found.changes.broken)
    )
    return [*row, _count(by_class.base, value), mended, broken]


def _changes(found: Failures, say: Strings) -> Paragraph | Notice:
    if found.changes is None:
        return Notice(say("failures.no_base"))
    changes = found.changes.model_dump(exclude={"mended", "broken"})
    counts = {key: say.integer(number) for key, number in changes.items()}
    return Paragraph(say("failures.changes", **counts))


def _breakdown(key: str, found: Breakdown, say: Strings) -> Table:
    columns = [
        Column(
            "value", say(f"failures.{key}"), str if key == "article" else partial(term, say=say)
        ),
        Column("count", say("column.questions"), say.integer, "number"),
        Column("f1", say("column.best_f1"), say.decimal, "number"),
        Column("f1_interval", say("column.f1_interval"), say.interval, "interval"),
        Column("exact_match", say("column.best_em"), say.decimal, "number"),
        Column("base_f1", say("column.base_f1"), say.decimal, "number"),
        Column("base_f1_interval", say("column.f1_interval"), say.interval, "interval"),
        Column("base_exact_match", say("column.base_em"), say.decimal, "number"),
    ]
    rows = [_breakdown_row(group, _group(found.base, group.value)) for group in found.best]
    caption = say("failures.breakdown", aspect=say(f"failures.{key}"))
    return Table(f"failures_by_{key}", caption, columns, rows)


def _breakdown_row(best: Slice, base: Slice | None) -> list[Cell]:
    of_base: list[Cell] = (
        [base.rank.mean, base.rank.interval, base.scores["exact_match"].mean]
        if base
        else [None, None, None]
    )
    return [
        best.value,
        best.count,
        best.rank.mean,
        best.rank.interval,
        best.scores["exact_match"].mean,
        *of_base,
    ]


def _examples(found: Failures, name: str, say: Strings) -> Table | Notice:
    if not found.examples:
        return Notice(say("failures.no_wrong", name=name))
    columns = [
        Column("class", say("column.class"), partial(term, say=say)),
        Column("question", say("column.question"), kind="long"),
        Column("prediction", say("column.prediction"), kind="long"),
        Column("answers", say("column.answers"), kind="long"),
        Column("id", say("column.id")),
    ]
    rows: list[list[Cell]] = [
        [
            each.failure,
            each.question,
            each.prediction or say("answers.empty"),
            " · ".join(dict.fromkeys(each.answers)),
            each.id,
        ]
        for each in found.examples
    ]
    return Table("failure_examples", say("failures.examples", name=name), columns, rows)


def _values(by_class: Breakdown) -> list[str]:
    """Return the classes that occur, in the order in which the rules are tried."""
    found = {group.value for group in (*by_class.best, *by_class.base)}
    return [str(value) for value in ORDER if value in found]


def _group(groups: list[Slice], value: str) -> Slice | None:
    return next((group for group in groups if group.value == value), None)


def _count(groups: list[Slice], value: str) -> int:
    group = _group(groups, value)
    return 0 if group is None else group.count
