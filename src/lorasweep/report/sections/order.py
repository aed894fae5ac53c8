"""The sections of the report, in reading order."""

from collections.abc import Callable

from lorasweep.report.blocks import Section
from lorasweep.report.load import Outcome
from lorasweep.report.sections.answers.answers import answers
from lorasweep.report.sections.answers.failures import failures
from lorasweep.report.sections.answers.predictions import predictions
from lorasweep.report.sections.conclusions.discussion import conclusion, discussion
from lorasweep.report.sections.conclusions.limitations import limitations
from lorasweep.report.sections.method.data import data
from lorasweep.report.sections.method.grid import grid
from lorasweep.report.sections.method.lora import lora
from lorasweep.report.sections.method.method import method
from lorasweep.report.sections.method.references import references
from lorasweep.report.sections.method.reproduce import reproduce
from lorasweep.report.sections.results.ablation import ablation
from lorasweep.report.sections.results.comparisons import comparisons
from lorasweep.report.sections.results.cost import cost
from lorasweep.report.sections.results.decoding import decoding
from lorasweep.report.sections.results.full import full
from lorasweep.report.sections.results.gain import gain
from lorasweep.report.sections.results.scores import leaderboard, summary
from lorasweep.report.sections.results.top import top
from lorasweep.report.sections.training.health import health
from lorasweep.report.sections.training.losses import losses
from lorasweep.report.sections.training.overfitting import overfitting
from lorasweep.report.sections.training.race import race
from lorasweep.report.words.language import Strings

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
