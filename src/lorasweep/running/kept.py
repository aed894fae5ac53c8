"""A study that a folder keeps: its decisions, and the base model that its runs were trained on."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from lorasweep.errors import UserError
from lorasweep.folder.records import Lock
from lorasweep.folder.store import Store
from lorasweep.hub.models import fingerprint_of, locate
from lorasweep.study.study import Study

# Among a lock's facts: the fingerprint of the base model's files.
MODEL_FACT = "model.base (its files)"


@dataclass(frozen=True)
class KeptStudy:
    """A study as the lock of its folder keeps it."""

    store: Store
    lock: Lock
    study: Study

    @classmethod
    def of(cls, out: Path | str) -> Self:
        """Return the study that a folder keeps; raises UserError where there is none."""
        store = Store(Path(out))
        lock = store.read_lock()
        if lock is None:
            raise UserError(f"no study in {out}: run `lorasweep run STUDY --out {out}` first")
        return cls(store, lock, Study.parse(lock.study, str(store.lock_file)))

    @cached_property
    def base(self) -> tuple[Path, str]:
        """The base model's folder, with the fingerprint of its files: the runs trained on these.

        All that is done with a finished study and its base model begins here. Raises UserError for
        other files; nothing is loaded to find out.
        """
        name, before = self.study.model.base, self.lock.facts.get(MODEL_FACT)
        folder = locate(name)
        if (found := fingerprint_of(folder)) != before:
            raise UserError(
                f"{name}: not the weights that the runs trained on: the fingerprint of its files "
                f"is {found[:12]}, and {self.store.lock_file} has {str(before)[:12]}"
            )
        return folder, found
