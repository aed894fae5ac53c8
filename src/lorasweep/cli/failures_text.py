"""What `failures` prints for people."""

from rich.table import Table

from lorasweep.console.printing import print_lines, wide_console
from lorasweep.finished.wrong_answers import WrongAnswers
from lorasweep.folder.findings import Breakdown, Changes, Example


def print_wrong_answers(answers: WrongAnswers) -> None:
    """Print a table for each aspect, what changed between the two, and the examples."""
    console = wide_console()
    for breakdown in answers.found.breakdowns:
        console.print(_table(breakdown, answers.run, answers.against))
    lines = _changes(answers.found.changes, answers) if answers.found.changes else []
    print_lines(console, [*lines, *map(_example, answers.found.examples)])


def _table(breakdown: Breakdown, run: str, against: str) -> Table:
    table = Table(title=f"by {breakdown.aspect}")
    table.add_column(breakdown.aspect)
    for name in (run, against):
        for column in (f"{name}: answers", "EM", "F1"):
            table.add_column(column, justify="right")
    pairs = [
        {group.value: group for group in groups} for groups in (breakdown.best, breakdown.base)
    ]
    for value in dict.fromkeys(name for groups in pairs for name in groups):
        cells = [
            cell
            for groups in pairs
            for cell in (
                (f"{groups[value].count:,}", f"{groups[value].scores['exact_match'].mean:.1f}",
                 f"{groups[value].rank.mean:.1f}")
                if value in groups else ("0", "", "")
            )
        ]  # fmt: skip
        table.add_row(value, *cells)
    return table


def _changes(changes: Changes, answers: WrongAnswers) -> list[str]:
    lines = [
        f"From {answers.against} to {answers.run}: {changes.became_right:,} answers became right, "
        f"{changes.became_wrong:,} wrong; {changes.stayed_right:,} stayed right, "
        f"{changes.stayed_wrong:,} wrong."
    ]
    for what, counts in (("Mended", changes.mended), ("New", changes.broken)):
        if counts:
            listed = ", ".join(f"{failure} {count:,}" for failure, count in counts.items())
            lines.append(f"{what}: {listed}.")
    return lines


def _example(example: Example) -> str:
    references = " | ".join(dict.fromkeys(example.answers))
    return (
        f"{example.failure}: {example.question} -> {example.prediction!r} "
        f"instead of {references!r} ({example.id})"
    )
