"""Target values of the grid: the modules, and parts of modules, that each stands for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lorasweep.errors import UserError, nearest
from lorasweep.hub.architectures import LinearModule, suffix_of, whole_of

ALL_LINEAR = "all-linear"

TargetSets = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Target:
    """A target value of the grid: the modules it names, and what of it names none."""

    modules: tuple[str, ...]
    matched: tuple[str, ...]
    unmatched: tuple[str, ...]


def resolve_targets(
    name: str, study_targets: TargetSets, built_in: TargetSets, modules: Sequence[LinearModule]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the full module names that a target value stands for, and the names without a match.

    The value is a set of the study, a built-in set, "all-linear", or itself a module's name. A
    name matches as in PEFT's target_modules: equal, or the end of the full name after a dot.
    Raises UserError where nothing matches.
    """
    target = resolve(name, study_targets, built_in, with_parts(modules))
    return target.modules, target.unmatched


def resolve(
    name: str, study_targets: TargetSets, built_in: TargetSets, modules: Sequence[LinearModule]
) -> Target:
    """Return what a target value stands for among modules and their parts."""
    wanted = study_targets.get(name) or built_in.get(name) or [name]
    hits = {w: [m.name for m in modules if _matches(w, m.name)] for w in wanted}
    if not any(hits.values()):
        sets = [*study_targets, *built_in, ALL_LINEAR]
        raise UserError(_no_module(name, wanted, sets, modules))
    found = {full for names in hits.values() for full in names}
    if twice := [full for full in found if full != whole_of(full) and whole_of(full) in found]:
        which = suffix_of(min(twice))
        raise UserError(f"targets {name!r}: {which} is named beside all of {whole_of(which)}")
    return Target(
        modules=tuple(m.name for m in modules if m.name in found),
        matched=tuple(w for w, names in hits.items() if names),
        unmatched=tuple(w for w, names in hits.items() if not names),
    )


def with_parts(modules: Sequence[LinearModule]) -> list[LinearModule]:
    """Return the modules, each followed by its parts."""
    return [found for module in modules for found in (module, *module.parts())]


def _matches(wanted: str, full_name: str) -> bool:
    if wanted == ALL_LINEAR:
        return full_name == whole_of(full_name)
    return wanted == full_name or full_name.endswith(f".{wanted}")


def _no_module(
    name: str, wanted: Sequence[str], sets: Sequence[str], modules: Sequence[LinearModule]
) -> str:
    suffixes = list(dict.fromkeys(suffix_of(module.name) for module in modules))
    parts = ", ".join(suffix for suffix in suffixes if suffix != whole_of(suffix))
    leaves = [suffix.rpartition(".")[2] for suffix in suffixes]
    hint = nearest(wanted[0], [*sets, *suffixes, *leaves])
    return (
        f"targets {name!r}: no linear module of this model is called {', '.join(wanted)}; "
        f"its modules: {', '.join(s for s in suffixes if s == whole_of(s))}"
        f"{f'; their parts: {parts}' if parts else ''}"
        f"; sets: {', '.join(sets)}{hint if '?' in hint else ''}"
    )
