"""What people call runs: ids, labels, the beginnings of both, and the best."""

from collections.abc import Callable, Iterator, Mapping

from lorasweep.errors import UserError, nearest, quoted
from lorasweep.folder.store import Store

BEST = "best"
BASE_NAMES = ("base", "base model")
MOST_LISTED = 6

# From a name to whether an id or a label is meant, the surest first.
MEANS: tuple[Callable[[str, str], bool], ...] = (
    lambda name, known: known == name,
    lambda name, known: known.casefold() == name.casefold(),
    lambda name, known: known.casefold().startswith(f"{name.casefold()} "),
    lambda name, known: known.casefold().startswith(name.casefold()),
)


def is_base(name: str) -> bool:
    """Say whether a name means the base model."""
    return name.casefold() in BASE_NAMES


def id_called(name: str, names: Mapping[str, str], place: str, best: str | None = None) -> str:
    """Return the id that a name means among the runs of `place`, whose labels are by id in `names`.

    A name is an id, a label in any letter case, the beginning of one of these, or "best". Raises
    UserError for a name that means none or several.
    """
    wanted = " ".join(name.split())
    found = next(_meant(wanted, names), [])
    if not found and wanted.casefold() == BEST:
        if best is None:
            raise UserError(f"{place} has no best run: none is done")
        return best
    if is_base(wanted) and not found:
        raise UserError(
            f"{name!r} is the base model, which no run of {place} trained; choose a run, "
            f"or {BEST!r}"
        )
    if not found:
        known = nearest(name, [*names, *names.values()])
        raise UserError(f"no run {quoted(name)} in {place}{known}")
    if len(found) > 1:
        listed = ", ".join(f"{names[run_id]!r} ({run_id})" for run_id in found[:MOST_LISTED])
        more = f" and {len(found) - MOST_LISTED} more" if len(found) > MOST_LISTED else ""
        raise UserError(f"{name!r} in {place} may be {listed}{more}: say more of the name")
    return found[0]


def _meant(name: str, names: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield the ids of the runs that a name may mean, the surest meaning first."""
    for means in MEANS if name else ():
        found = [
            run_id for run_id, label in names.items() if means(name, run_id) or means(name, label)
        ]
        if found:
            yield found


def run_ids_called(store: Store, wanted: list[str]) -> list[str]:
    """Return the ids of runs of a folder, whether trained yet or not; see `id_called`."""
    lock = store.read_lock()
    names = {run.id: run.id for pack in lock.packs for run in pack.runs} if lock else {}
    if store.results_file.is_file():
        found = store.read_results().names
        names = {run_id: found.get(run_id, run_id) for run_id in names}
    return [id_called(name, names, str(store.out)) for name in wanted]
