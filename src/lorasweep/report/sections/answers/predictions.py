"""Predictions: a table to search, with contexts, and with any two runs beside each other."""

from lorasweep.report.blocks import Block, Browser, Notice, Paragraph, Section
from lorasweep.report.browser import browsable
from lorasweep.report.load import Outcome
from lorasweep.report.predictions import Held, hold
from lorasweep.report.words.language import Strings


def predictions(outcome: Outcome, say: Strings) -> Section:
    """Show the answers that the page holds, and say which those are."""
    held = hold(outcome, say("leaderboard.base"))
    blocks: list[Block] = [Notice(say("browser.none"))] if held is None else _blocks(held, say)
    return Section("predictions", say("browser.title"), blocks)


def _blocks(held: Held, say: Strings) -> list[Block]:
    blocks: list[Block] = [Paragraph(say("browser.how_to_read")), Paragraph(_rule(held, say))]
    if not all(each.id in held.paragraphs for each in held.questions):
        blocks.append(Notice(say("browser.no_contexts")))
    return [*blocks, Browser(browsable(held, say))]


def _rule(held: Held, say: Strings) -> str:
    questions = say.count("summary.questions", held.num_questions)
    runs = say.integer(held.num_runs)
    if (len(held.questions), held.num_held_runs) == (held.num_questions, held.num_runs):
        return say("browser.all_here", questions=questions, runs=runs)
    return say(
        "browser.some_here",
        questions=questions,
        held_questions=say.integer(len(held.questions)),
        runs=runs,
        held_runs=say.integer(held.num_held_runs),
    )
