"""The sections of the report, in reading order."""

from collections.abc import Callable

from lorasweep.report.blocks import Section
from lorasweep.report.language import Strings
from lorasweep.report.load import Outcome
from lorasweep.report.sections.ablation import ablation
from lorasweep.report.sections.answers import answers
from lorasweep.report.sections.comparisons import comparisons
from lorasweep.report.sections.cost import cost
from lorasweep.report.sections.data import data
from lorasweep.report.sections.decoding import decoding
from lorasweep.report.sections.discussion import conclusion, discussion
from lorasweep.report.sections.failures import failures
from lorasweep.report.sections.full import full
from lorasweep.report.sections.gain import gain
from lorasweep.report.sections.grid import grid
from lorasweep.report.sections.health import health
from lorasweep.report.sections.limitations import limitations
from lorasweep.report.sections.lora import lora
from lorasweep.report.sections.losses import losses
from lorasweep.report.sections.method import method
from lorasweep.report.sections.overfitting import overfitting
from lorasweep.report.sections.predictions import predictions
from lorasweep.report.sections.race import race
from lorasweep.report.sections.references import references
from lorasweep.report.sections.reproduce import reproduce
from lorasweep.report.sections.scores import leaderboard, summary
from lorasweep.report.sections.top import top

SECTIONS: list[Callable[[Outcome, Strings], Section]] = [
    summary,
    leaderboard,
    gain,
    comparisons,
    top,
    ablation,
    cost,
    full,
    decoding,
    failures,
    answers,
    predictions,
    losses,
    overfitting,
    race,
    health,
    discussion,
    limitations,
    conclusion,
    lora,
    data,
    method,
    grid,
    reproduce,
    references,
]
