"""A study that a folder keeps: its decisions, and the base model that its runs were trained on."""

from dataclasses import dataclass
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
    """A study as the lock of its folder keeps it; raises UserError where there is none."""

    store: Store
    lock: Lock
    study: Study

    @classmethod
    def of(cls, out: Path | str) -> Self:
        """Return the study that a folder keeps."""
        store = Store(Path(out))
        lock = store.read_lock()
        if lock is None:
            raise UserError(f"no study in {out}: run `lorasweep run STUDY --out {out}` first")
        return cls(store, lock, Study.parse(lock.study, str(store.lock_file)))

    def base_folder(self) -> Path:
        """Return the folder of the base model, whose files are those that the runs trained on.

        Raises UserError for other files; nothing is loaded to find out.
        """
        self.base_files()
        return locate(self.study.model.base)

    def base_files(self) -> str:
        """Return the fingerprint of the base model's files; raises UserError where they changed.

        All that is done with a finished study and its base model begins here.
        """
        base, before = self.study.model.base, self.lock.facts.get(MODEL_FACT)
        if (found := fingerprint_of(locate(base))) != before:
            raise UserError(
                f"{base}: not the weights that the runs trained on: the fingerprint of its files "
                f"is {found[:12]}, and {self.store.lock_file} has {str(before)[:12]}"
            )
        return found
