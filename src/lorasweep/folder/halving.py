"""Packs that memory does not hold: cut in half, and logged in the lock before they are tried."""

from lorasweep.errors import UserError
from lorasweep.folder.records import Lock, LockedPack, LockedRun


def cut_in_half(lock: Lock, pack: LockedPack, why: str, longest: int) -> Lock:
    """Return the lock with two packs of half the lanes, and half the micro-batch, for one.

    A pack of one lane keeps it and halves its micro-batches. Raises UserError where these are down
    to one paragraph: `longest` is the tokens of the longest one with its questions.
    """
    if is_smallest(lock, pack, longest):
        raise UserError(too_small(pack, longest, why))
    tokens = _tokens_of(lock, pack)
    reason = (
        f"{pack.id} was cut in half, from {len(pack.runs)} lanes and micro-batches of {tokens} "
        f"tokens: {why}"
    )
    halves = [
        pack.model_copy(update={"id": name, "runs": runs, "cuts": [*pack.cuts, reason]})
        for name, runs in _halves(pack)
    ]
    packs = [part for each in lock.packs for part in (halves if each.id == pack.id else [each])]
    return lock.model_copy(update={"packs": packs})


def is_smallest(lock: Lock, pack: LockedPack, longest: int) -> bool:
    """Say whether a pack is down to one run and one paragraph at a time, and cannot be cut."""
    return len(pack.runs) == 1 and _tokens_of(lock, pack) <= longest


def too_small(pack: LockedPack, longest: int, why: str) -> str:
    """Return what to say of a pack that cannot be cut and does not fit."""
    return (
        f"{pack.id}: not enough memory for one run and one paragraph of {longest} tokens at a time "
        f"({why}); end other programs that need memory, or begin in a new folder (--out) with a "
        "lower data.max_tokens or a smaller model"
    )


def _tokens_of(lock: Lock, pack: LockedPack) -> int:
    return lock.micro_tokens >> len(pack.cuts)


def parts_of(lock: Lock, pack: LockedPack) -> list[LockedPack]:
    """Return the packs of the lock that hold a pack's runs."""
    own = {run.id for run in pack.runs}
    return [part for part in lock.packs if own & {run.id for run in part.runs}]


def _halves(pack: LockedPack) -> list[tuple[str, list[LockedRun]]]:
    middle = (len(pack.runs) + 1) // 2
    if len(pack.runs) == 1:
        return [(pack.id, pack.runs)]
    return [(f"{pack.id}a", pack.runs[:middle]), (f"{pack.id}b", pack.runs[middle:])]


def cuts_of(lock: Lock, run_ids: set[str]) -> list[str]:
    """Return why packs of these runs were cut, each reason once."""
    concerned = [p for p in lock.packs if any(run.id in run_ids for run in p.runs)]
    return list(dict.fromkeys(reason for p in concerned for reason in p.cuts))
