"""Questions on paragraphs: SQuAD v1.1 and v2.0 files, own data, Hub data sets, the bundled corpus.

`dataset` holds the types, `sources` reads them, `selection` splits and samples.
"""

from lorasweep.squad.dataset import Answer, Dataset, Paragraph, Question, fingerprint_of
from lorasweep.squad.selection import Selection, sample, select
from lorasweep.squad.sources import load

__all__ = [
    "Answer",
    "Dataset",
    "Paragraph",
    "Question",
    "Selection",
    "fingerprint_of",
    "load",
    "sample",
    "select",
]
