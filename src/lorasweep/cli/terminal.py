"""What the command line prints for people: tables, warnings and progress."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from lorasweep.analysis.results import ranked
from lorasweep.console.printing import PlainConsole, print_lines, wide_console
from lorasweep.console.progress import Bars, PlainLines, Reporter, Silent, duration
from lorasweep.data.selection import Selection
from lorasweep.errors import UserError
from lorasweep.folder.findings import DecoderAnalysis
from lorasweep.folder.records import Results, RunRecord
from lorasweep.folder.scores import Scores, eval_loss_of, scores_of
from lorasweep.forecast.estimate import Estimate
from lorasweep.forecast.remaining import Forecast
from lorasweep.forecast.status import Status
from lorasweep.hub.models import ModelInfo
from lorasweep.study.plan import Plan
from lorasweep.study.sections import Race
from lorasweep.training.race import stop_sentence

NO_ESTIMATE = (
    "no estimate of time and memory: nothing was measured on this machine yet; "
    "--calibrate does that, in about two minutes"
)

TEXT_SUFFIXES = (".txt", ".md", ".rst", ".tex", ".html", ".htm", ".pdf", ".docx", ".json", ".jsonl",
                 ".csv")  # fmt: skip

if TYPE_CHECKING:
    from lorasweep.finished.asking import Reply


@contextmanager
def reporting(quiet: bool) -> Iterator[Reporter]:
    """Give a reporter: bars on a terminal, plain lines elsewhere, both on standard error."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    console = PlainConsole(stderr=True)
    if quiet:
        # Read when these libraries are first imported, which is later.
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = os.environ["TQDM_DISABLE"] = "1"
        yield Silent()
    elif console.is_terminal:
        with Bars(console) as bars:
            yield bars
    else:
        yield PlainLines(console)


def _print_race(console: Console, race: Race) -> None:
    rungs = ", ".join(f"{100 * fraction:g} %" for fraction in race.rungs)
    console.print(
        f"race: at {rungs} of training, runs shown to be worse than the leader are stopped "
        f"(level {100 * race.level:g} %)"
    )


def print_plan(plan: Plan, expected: Forecast | None, selection: Selection | None) -> None:
    """Print a study's runs and packs as a table, its questions, warnings, and what it will take.

    The questions are None where they are on the Hub.
    """
    table = Table(title=f"{plan.study.name}: {len(plan.configurations)} configurations, "
                        f"{len(plan.runs)} runs, {len(plan.packs)} packs")  # fmt: skip
    for name in ("run", "modules", "trainable", "scale", "configurations", "pack"):
        table.add_column(name, justify="left" if name in ("run", "pack") else "right")
    pack_of = {run.label: pack.id for pack in plan.packs for run in pack.runs}
    for index, run in enumerate(plan.runs):
        table.add_row(
            run.label,
            str(len(run.modules)),
            f"{run.trainable_parameters:,}",
            "" if run.scale is None else f"{run.scale:g}",
            str(plan.run_of.count(index)),
            pack_of[run.label],
        )
    console = wide_console()
    console.print(table)
    print_lines(console, [_questions(selection)])
    if plan.study.race:
        _print_race(console, plan.study.race)
    _print_warnings(console, plan.warnings)
    if expected is None:
        print_lines(console, [NO_ESTIMATE])
    else:
        _print_forecast(console, expected)


def _questions(selection: Selection | None) -> str:
    if selection is None:
        return "questions: some are on the Hub, and are read when the study runs"
    parts = "; ".join(_size_of(role, data.counts) for role, data in selection.sets.items())
    split = f" (train data split by {selection.split})" if selection.split else ""
    return f"questions: {parts}{split}"


def _size_of(role: str, counts: dict[str, int]) -> str:
    paragraphs, articles = counts["paragraphs"], counts["articles"]
    return (
        f"{role} {counts['questions']:,} on {paragraphs:,} paragraph{'s' * (paragraphs != 1)} of "
        f"{articles:,} article{'s' * (articles != 1)}"
    )


def _print_forecast(console: Console, expected: Forecast) -> None:
    if expected.packs:
        table = Table(title="estimate of what is left")
        for name in ("pack", "training", "answers", "peak memory"):
            table.add_column(name, justify="left" if name == "pack" else "right")
        for pack, found in expected.packs.items():
            table.add_row(pack, *_estimated(found))
        console.print(table)
    seconds, memory = expected.seconds, expected.peak_memory_bytes
    total = "not known" if seconds is None else f"about {duration(seconds)}"
    ended = {"done": expected.num_done, "failed": expected.num_failed,
             "stopped": expected.num_stopped}  # fmt: skip
    counts = ", ".join(f"{number} {state}" for state, number in ended.items() if number)
    lines = [f"warning: {expected.difference}"] if expected.difference else []
    lines += [f"runs: {counts}"] if counts else []
    if expected.packs:
        peak = f", up to {gigabytes(memory)} of memory" if memory else ""
        lines.append(f"time in total: {total}{peak}; estimated from {expected.source}")
        lines.append(f"the total counts {_counted(expected)}")
    print_lines(console, lines)


def _counted(expected: Forecast) -> str:
    """Return what a total is of, with the time of what is in no pack."""
    base = f"the base model ({duration(expected.base_seconds)}), " if expected.base_seconds else ""
    return (
        f"{base}training and answers of all packs, and start, check, analysis and report "
        f"({duration(expected.call_seconds)})"
    )


def _estimated(found: Estimate | None) -> tuple[str, str, str]:
    if found is None:
        return "not measured", "", ""
    times = duration(found.train_seconds), duration(found.answer_seconds)
    return *times, gigabytes(found.peak_memory_bytes)


def gigabytes(num_bytes: int) -> str:
    """Return a number of bytes in units of 10^9."""
    return f"{num_bytes / 1e9:.1f} GB"


def print_status(status: Status) -> None:
    """Print how many runs are in each state, the best so far, time left, and every pack."""
    console = wide_console()
    at_work = "a process is at work" if status.is_busy else "no process is at work"
    counts = ", ".join(f"{number} {state}" for state, number in status.counts.items() if number)
    lines = [f"{status.study}: {counts or 'no runs'}; {at_work}"]
    if status.best is not None:
        lines.append(f"best so far: {status.best.label}, F1 {status.best.f1:.1f}")
    if status.counts["running"] or status.counts["waiting"]:
        left = status.seconds_left
        known = "not known yet" if left is None else f"about {duration(left)}"
        lines.append(f"time left: {known}{'' if status.is_busy else ' once it goes on'}")
    print_lines(console, lines)
    console.print(_packs(status))
    _print_warnings(console, status.cuts)


def _packs(status: Status) -> Table:
    table = Table()
    for name in ("pack", "run", "state", "trained", "F1"):
        table.add_column(name, justify="left" if name in ("pack", "run", "state") else "right")
    for run in status.runs:
        f1 = "" if run.f1 is None else f"{run.f1:.1f}"
        table.add_row(run.pack, run.label, run.state, f"{100 * run.share_trained:.0f} %", f1)
    return table


def print_leaderboard(results: Results, folder: Path, decoders: Sequence[str]) -> None:
    """Print all scored runs, the base model and what is best by each decoder, and the report."""
    console = wide_console()
    analysed = results.analysis.decoders if results.analysis else {}
    for decoder in decoders:
        console.print(_leaderboard(results, decoder))
        found = analysed.get(decoder)
        print_lines(console, [f"* {found.tied_best.sentence}"] if found and found.tied_best else [])
    if found := analysed.get("greedy" if "greedy" in decoders else decoders[0]):
        _print_limits(console, found)
    _print_stops(console, results, folder)
    if results.base.note:
        console.print(f"base model: {results.base.note}", markup=False)
    _print_warnings(console, results.warnings)
    console.print(f"report: {folder / 'report' / 'index.html'}", soft_wrap=True, markup=False)


def _print_limits(console: Console, found: DecoderAnalysis) -> None:
    """Say what limits the choice of the best run, and how to extend the grid."""
    edges = found.ablation.edges if found.ablation else []
    lines = [found.selection_bias] if found.selection_bias else []
    lines += [f"{edge.sentence} {edge.option}" for edge in edges]
    print_lines(console, lines)


def _print_stops(console: Console, results: Results, folder: Path) -> None:
    """Say who lost the race, and how to go on with them."""
    for run in results.runs:
        if run.stop is not None:
            line = f"{results.names[run.id]} {stop_sentence(run.stop)}"
            if run.state == "stopped":
                line += f"; to go on: lorasweep resume {folder} --run {run.id}"
            print_lines(console, [line])


def _leaderboard(results: Results, decoder: str) -> Table:
    table = Table(title=f"{results.study}, {decoder} decoding, 95 % intervals")
    for name in ("run", "EM", "F1", "interval", "eval loss", "trainable", "train s"):
        table.add_column(name, justify="left" if name == "run" else "right")
    found = results.analysis.decoders.get(decoder) if results.analysis else None
    tied = found.tied_best.members if found and found.tied_best else []
    for run in ranked(results, decoder):
        scores = scores_of(run.metrics, decoder)
        name = ("* " if run.id in tied else "  ") + results.names[run.id]
        table.add_row(name, *_scores(scores), _loss(run), f"{run.trainable_parameters:,}",
                      "" if run.imported_from else f"{run.train_seconds:.1f}")  # fmt: skip
    base = eval_loss_of(results.base.metrics)
    table.add_row("  base model", *_scores(scores_of(results.base.metrics, decoder)),
                  "" if base is None else f"{base:.3f}", "0", "")  # fmt: skip
    return table


def print_models(models: Sequence[ModelInfo]) -> None:
    """Print the known base models."""
    table = Table()
    for name in ("name", "state", "folder", "note"):
        table.add_column(name)
    for model in models:
        table.add_row(model.name, model.state, str(model.folder or ""), model.note)
    wide_console().print(table)


def text_of(source: str) -> str:
    """Return the text of a file, or the source itself where no file is called so.

    Raises UserError where it looks like the name of a file that is not there.
    """
    try:
        return Path(source).read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{source}: not a text file in UTF-8") from None
    except IsADirectoryError:
        if not source:
            raise UserError("--context: the text is empty") from None
        raise UserError(f"{source}: a folder, where a text or its file is expected") from None
    except (OSError, ValueError):  # no file, or a text that no file could be called
        if _is_called_like_a_file(source):
            raise UserError(f"no file {source}") from None
        return source


def _is_called_like_a_file(text: str) -> bool:
    """Say whether a text is no sentence: one word with a suffix, or a line with that of texts."""
    has_spaces = any(map(str.isspace, text))
    suffix = Path(text).suffix
    return "\n" not in text and suffix in TEXT_SUFFIXES if has_spaces else bool(suffix)


def print_replies(replies: "Sequence[Reply]") -> None:
    """Print answers side by side, with the least probable of their tokens."""
    table = Table()
    for name in ("run", "answer", "least probable token"):
        table.add_column(name)
    for reply in replies:
        least = min(reply.tokens, key=lambda token: token.probability, default=None)
        doubt = "" if least is None else f"{least.probability:.0%} {least.text!r}"
        text = reply.text if reply.ended else f"{reply.text} ..."
        table.add_row(reply.who, text, doubt)
    wide_console().print(table)


def _scores(scores: Scores | None) -> tuple[str, str, str]:
    if scores is None:
        return "", "", ""
    interval = scores.rank.interval
    bounds = f"{interval[0]:.1f} to {interval[1]:.1f}" if interval else "none"
    return f"{scores.scores['exact_match'].mean:.1f}", f"{scores.rank.mean:.1f}", bounds


def _loss(run: RunRecord) -> str:
    loss = eval_loss_of(run.metrics)
    return "" if loss is None else f"{loss:.3f}"


def _print_warnings(console: Console, warnings: Sequence[str]) -> None:
    print_lines(console, [f"warning: {warning}" for warning in warnings])
