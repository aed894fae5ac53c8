"""Loss curves: training loss per step and evaluation loss per epoch."""

from collections.abc import Callable

from lorasweep.folder.records import RunRecord
from lorasweep.folder.scores import eval_loss_of
from lorasweep.report.blocks import Block, Figure, Notice, Paragraph, Section
from lorasweep.report.charts.run_charts import MAX_SERIES, Series, bucket_size, line_chart, thin
from lorasweep.report.load import Outcome
from lorasweep.report.words.language import Strings

Points = list[tuple[float, float]]
# with more runs than colours, lines take the colour of the first of these that differs
AXES = ("lr", "rank", "targets", "alpha", "dropout", "seed")


def losses(outcome: Outcome, say: Strings) -> Section:
    """Draw every run's losses, and name the runs that left none."""
    training, evaluation = _training(outcome), _evaluation(outcome)
    blocks: list[Block] = [Paragraph(say("losses.how_to_read"), on_screen_alone=True)]
    one_step = "losses.one_training" if any(training.values()) else "losses.no_training"
    one_epoch = "losses.one_evaluation" if any(evaluation.values()) else "losses.no_evaluation"
    blocks.append(_training_figure(outcome, training, say) or Notice(say(one_step)))
    blocks.append(_evaluation_figure(outcome, evaluation, say) or Notice(say(one_epoch)))
    absent = [outcome.names[run_id] for run_id, points in training.items() if not points]
    if absent and len(absent) < len(training):
        blocks.append(Notice(say.count("losses.absent", len(absent), names=say.list(absent))))
    return Section("losses", say("losses.title"), blocks)


def _training(outcome: Outcome) -> dict[str, Points]:
    """Map run ids to (step, loss): steps are counted from 1 for people, from 0 on disk."""
    return {
        run.id: [(entry.step + 1, entry.loss) for entry in outcome.steps(run)]
        for run in outcome.results.runs
    }


def _evaluation(outcome: Outcome) -> dict[str, Points]:
    """Map run ids to (epochs trained, loss), the last evaluation of each epoch."""
    return {
        run.id: list(
            {e.epoch: (float(e.epoch + 1), e.eval_loss) for e in outcome.evaluations(run)}.values()
        )
        for run in outcome.results.runs
    }


def _training_figure(outcome: Outcome, points: dict[str, Points], say: Strings) -> Figure | None:
    size = bucket_size(max(map(len, points.values()), default=0), len(points))
    series, group_title = series_of(outcome, {key: thin(p, size) for key, p in points.items()}, say)
    if not has_a_course(series):
        return None
    caption = say.count("losses.training_caption", size)
    chart = line_chart(series, say("losses.step"), say("chart.loss"), group_title, say)
    title, words = say("losses.training"), _in_words("losses.training_words", series, say)
    return Figure("train_loss", title, caption, words, chart)


def _evaluation_figure(outcome: Outcome, points: dict[str, Points], say: Strings) -> Figure | None:
    series, group_title = series_of(outcome, {key: thin(p, 1) for key, p in points.items()}, say)
    if not has_a_course(series):
        return None
    base = eval_loss_of(outcome.results.base.metrics)
    caption = say("losses.evaluation_caption") + (f" {say('losses.base_rule')}" if base else "")
    chart = line_chart(series, say("losses.epoch"), say("chart.loss"), group_title, say, base)
    title, words = say("losses.evaluation"), _in_words("losses.evaluation_words", series, say)
    return Figure("eval_loss", title, caption, words, chart)


def has_a_course(series: list[Series]) -> bool:
    """Return whether there is more than one step, or epoch, to draw a line over."""
    return len({x for line in series for x, _ in line.points}) > 1


def series_of(
    outcome: Outcome, points: dict[str, Points], say: Strings
) -> tuple[list[Series], str]:
    """Return a line per run that has points, and the title of the groups that colour them."""
    runs = [run for run in outcome.results.runs if points[run.id]]
    group_of, title = _grouping(outcome, runs, say)
    return [Series(outcome.names[run.id], group_of(run), points[run.id]) for run in runs], title


def _grouping(
    outcome: Outcome, runs: list[RunRecord], say: Strings
) -> tuple[Callable[[RunRecord], str], str]:
    if len(runs) > MAX_SERIES:
        axis = next((axis for axis in AXES if _differs(axis, runs)), AXES[0])
        return lambda run: _axis_value(run, axis, say), say(f"column.{axis}")
    return lambda run: outcome.names[run.id], say("chart.run")


def _differs(axis: str, runs: list[RunRecord]) -> bool:
    return len({getattr(run.configuration, axis) for run in runs}) > 1


def _axis_value(run: RunRecord, axis: str, say: Strings) -> str:
    value = getattr(run.configuration, axis)
    if value is None:
        return run.configuration.method
    return say.axis_value(axis, value)


def _in_words(key: str, series: list[Series], say: Strings) -> str:
    rows = [
        say("losses.from_to", name=s.name, first=say.decimal(s.points[0][1], 2),
            last=say.decimal(s.points[-1][1], 2))
        for s in series
    ]  # fmt: skip
    return say(key, rows=say.list(rows, most=20))
