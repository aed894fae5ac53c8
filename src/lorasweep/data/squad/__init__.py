"""Questions on paragraphs: SQuAD v1.1 and v2.0 files, own data, Hub data sets, the bundled corpus.

`dataset` holds the types, `sources` reads them, `selection` splits and samples.
"""

from lorasweep.data.squad.dataset import Answer, Dataset, Paragraph, Question, fingerprint_of
from lorasweep.data.squad.selection import Selection, sample, select
from lorasweep.data.squad.sources import load

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
