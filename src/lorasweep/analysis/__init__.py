"""From records to what they show: which runs may be best, what each axis does, what goes wrong."""

from lorasweep.analysis.analyse import analyse
from lorasweep.analysis.questions import questions_of

__all__ = ["analyse", "questions_of"]
