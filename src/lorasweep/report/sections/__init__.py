"""The sections of the report, in reading order."""

from collections.abc import Callable

from lorasweep.report.blocks import Section
from lorasweep.report.language import Strings
from lorasweep.report.load import Outcome
from lorasweep.report.sections.ablation import ablation
from lorasweep.report.sections.answers import answers
from lorasweep.report.sections.comparisons import comparisons
from lorasweep.report.sections.failures import failures
from lorasweep.report.sections.losses import losses
from lorasweep.report.sections.race import race
from lorasweep.report.sections.scores import leaderboard, summary
from lorasweep.report.sections.setting import data, method

SECTIONS: list[Callable[[Outcome, Strings], Section]] = [
    summary,
    leaderboard,
    comparisons,
    ablation,
    failures,
    losses,
    race,
    answers,
    data,
    method,
]
