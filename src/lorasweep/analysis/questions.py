"""The evaluation questions of a finished study, read again from its data."""

from lorasweep.data.examples import Group, fingerprint_of
from lorasweep.data.selection import select
from lorasweep.errors import UserError
from lorasweep.folder.records import DataCard, Lock
from lorasweep.study.study import Study


def questions_of(lock: Lock, card: DataCard | None) -> tuple[Group, ...]:
    """Return the evaluation paragraphs of a locked study.

    Raises UserError where the data cannot be read, or is not what the runs were scored on.
    """
    dataset = select(Study.parse(lock.study, "study.lock.json").data).eval
    if card is None or fingerprint_of(dataset) != card.fingerprint:
        raise UserError(
            f"{', '.join(dataset.sources)}: no longer the questions that the runs were scored on"
        )
    return dataset.groups
