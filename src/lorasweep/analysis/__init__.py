"""From records to what they show: which runs may be best, what each axis does, what goes wrong."""

from lorasweep.analysis.analyse import analyse
from lorasweep.analysis.failures import classified, failures_of
from lorasweep.analysis.questions import questions_of

__all__ = ["analyse", "classified", "failures_of", "questions_of"]
