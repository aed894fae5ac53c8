"""A study and its model's linear modules, to runs, packs and warnings: nothing is loaded."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from lorasweep.architectures import LinearModule, built_in_targets, linear_modules, whole_of
from lorasweep.errors import UserError, nearest
from lorasweep.study import Configuration, Study, canonical_json, resolve_alpha, resolve_scale

ALL_LINEAR = "all-linear"
AUTO_LANES = 4
USUAL_LR = (1e-5, 5e-3)

TargetSets = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class PlannedRun:
    """One distinct piece of training; its configuration has alpha as a number."""

    configuration: Configuration
    modules: tuple[str, ...]
    trainable_parameters: int
    scale: float
    label: str
    warnings: tuple[str, ...] = ()

    @property
    def work(self) -> dict[str, Any]:
        """What the run trains, however it is written: runs of the same work are one run.

        Axes at their default are left out, so that a new axis changes no run's identity.
        """
        point = self.configuration
        written = point.model_dump(exclude={"targets", "scaling"}, exclude_defaults=True)
        return {
            "modules": list(self.modules),
            "scale": self.scale,
            "configuration": {**written, "alpha": self.scale * point.rank},
        }


@dataclass(frozen=True)
class Pack:
    """Runs that are trained in lockstep on one copy of the base model."""

    id: str
    runs: tuple[PlannedRun, ...]


@dataclass(frozen=True)
class Plan:
    """What a study comes to: `run_of[i]` is the index in `runs` of configuration i's run."""

    study: Study
    configurations: list[Configuration]
    run_of: list[int]
    runs: list[PlannedRun]
    packs: list[Pack]
    warnings: list[str]


@dataclass(frozen=True)
class _Target:
    """A target value of the grid: the modules it names, and what of it names none."""

    modules: tuple[str, ...]
    matched: tuple[str, ...]
    unmatched: tuple[str, ...]


def make_plan(study: Study, config: dict[str, Any]) -> Plan:
    """Resolve a study against a base model's config.json.

    Raises UserError for targets that name no module of the model.
    """
    modules = _with_parts(linear_modules(config))
    written = study.configurations()
    targets = {
        name: _resolve(name, study.targets, built_in_targets(config), modules)
        for name in dict.fromkeys(point.targets for point in written)
    }
    unmatched = _unmatched_warnings(targets)
    runs, run_of = _distinct(written, targets, modules)
    runs = _with_warnings(runs, run_of, [unmatched.get(point.targets) for point in written])
    warnings = [
        *_unused_warnings(study.targets, targets),
        *unmatched.values(),
        *_repeat_warnings(written, run_of, runs),
        *_alpha_warnings(written),
        *_lr_warnings(written),
    ]
    return Plan(study, written, run_of, runs, pack_up(runs, study.pack.lanes), warnings)


def resolve_targets(
    name: str, study_targets: TargetSets, built_in: TargetSets, modules: Sequence[LinearModule]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the full module names that a target value stands for, and the names without a match.

    The value is a set of the study, a built-in set, "all-linear", or itself a module's name. A
    name matches as in PEFT's target_modules: equal, or the end of the full name after a dot.
    Raises UserError where nothing matches.
    """
    target = _resolve(name, study_targets, built_in, _with_parts(modules))
    return target.modules, target.unmatched


def plan_json(plan: Plan) -> dict[str, Any]:
    """Return the plan as `lorasweep plan --json` prints it."""
    pack_of = {run.label: pack.id for pack in plan.packs for run in pack.runs}
    return {
        "study": plan.study.name,
        "configurations": [
            {**point.model_dump(), "run": plan.runs[index].label}
            for point, index in zip(plan.configurations, plan.run_of, strict=True)
        ],
        "runs": [
            {
                "label": run.label,
                "configuration": run.configuration.model_dump(),
                "modules": list(run.modules),
                "trainable_parameters": run.trainable_parameters,
                "scale": run.scale,
                "pack": pack_of[run.label],
            }
            for run in plan.runs
        ],
        "packs": [{"id": p.id, "runs": [run.label for run in p.runs]} for p in plan.packs],
        "warnings": plan.warnings,
    }


def _resolve(
    name: str, study_targets: TargetSets, built_in: TargetSets, modules: Sequence[LinearModule]
) -> _Target:
    wanted = study_targets.get(name) or built_in.get(name) or [name]
    hits = {w: [m.name for m in modules if _matches(w, m.name)] for w in wanted}
    if not any(hits.values()):
        sets = [*study_targets, *built_in, ALL_LINEAR]
        raise UserError(_no_module(name, wanted, sets, modules))
    found = {full for names in hits.values() for full in names}
    if twice := [full for full in found if full != whole_of(full) and whole_of(full) in found]:
        which = _suffix(min(twice))
        raise UserError(f"targets {name!r}: {which} is named beside all of {whole_of(which)}")
    return _Target(
        modules=tuple(m.name for m in modules if m.name in found),
        matched=tuple(w for w, names in hits.items() if names),
        unmatched=tuple(w for w, names in hits.items() if not names),
    )


def _with_parts(modules: Sequence[LinearModule]) -> list[LinearModule]:
    """Return the modules, each followed by its parts."""
    return [found for module in modules for found in (module, *module.parts())]


def _matches(wanted: str, full_name: str) -> bool:
    if wanted == ALL_LINEAR:
        return full_name == whole_of(full_name)
    return wanted == full_name or full_name.endswith(f".{wanted}")


def _no_module(
    name: str, wanted: Sequence[str], sets: Sequence[str], modules: Sequence[LinearModule]
) -> str:
    suffixes = list(dict.fromkeys(_suffix(module.name) for module in modules))
    parts = ", ".join(suffix for suffix in suffixes if suffix != whole_of(suffix))
    leaves = [suffix.rpartition(".")[2] for suffix in suffixes]
    hint = nearest(wanted[0], [*sets, *suffixes, *leaves])
    return (
        f"targets {name!r}: no linear module of this model is called {', '.join(wanted)}; "
        f"its modules: {', '.join(s for s in suffixes if s == whole_of(s))}"
        f"{f'; their parts: {parts}' if parts else ''}"
        f"; sets: {', '.join(sets)}{hint if '?' in hint else ''}"
    )


def _suffix(full_name: str) -> str:
    """Return the part of a module's name that all layers share: after the last layer number."""
    parts = full_name.split(".")
    numbers = [i for i, part in enumerate(parts) if part.isdigit()]
    return ".".join(parts[numbers[-1] + 1 :]) if numbers else full_name


def _distinct(
    written: Sequence[Configuration],
    targets: Mapping[str, _Target],
    modules: Sequence[LinearModule],
) -> tuple[list[PlannedRun], list[int]]:
    """Return the runs, and for each configuration the index of the one that does its work."""
    label = _Labels(written)
    index_of: dict[str, int] = {}
    runs: list[PlannedRun] = []
    run_of = []
    for point in written:
        resolved = point.model_copy(update={"alpha": resolve_alpha(point.alpha, point.rank)})
        run = _planned_run(resolved, targets[point.targets].modules, modules, label(resolved))
        work = canonical_json(run.work)
        if work not in index_of:
            index_of[work] = len(runs)
            runs.append(run)
        run_of.append(index_of[work])
    return runs, run_of


def _planned_run(
    configuration: Configuration,
    names: tuple[str, ...],
    modules: Sequence[LinearModule],
    label: str,
) -> PlannedRun:
    chosen = set(names)
    sizes = sum(m.in_features + m.out_features for m in modules if m.name in chosen)
    scale = resolve_scale(float(configuration.alpha), configuration.rank, configuration.scaling)
    return PlannedRun(configuration, names, configuration.rank * sizes, scale, label)


class _Labels:
    """Names runs such as "r4 lr1e-3 attn", with the other axes where they vary in the study."""

    def __init__(self, written: Sequence[Configuration]) -> None:
        axes = ("alpha", "scaling", "lr_ratio", "dropout", "seed")
        self.varies = {a for a in axes if len({getattr(p, a) for p in written}) > 1}

    def __call__(self, point: Configuration) -> str:
        parts = [f"r{point.rank}", f"lr{_scientific(point.lr)}", point.targets]
        if "alpha" in self.varies:
            parts.append(f"alpha{_plain(float(point.alpha))}")
        if "scaling" in self.varies:
            parts.append(point.scaling)
        if "lr_ratio" in self.varies:
            parts.append(f"ratio{_plain(point.lr_ratio)}")
        if "dropout" in self.varies:
            parts.append(f"drop{_plain(point.dropout)}")
        if "seed" in self.varies:
            parts.append(f"seed{point.seed}")
        return " ".join(parts)


def _scientific(value: float) -> str:
    """Return 7e-5 for 7e-05, and 2.5e-4 for 0.00025: every digit that counts, no other."""
    text = f"{Decimal(repr(value)).normalize():e}"
    return text.replace("e+", "e").removesuffix("e0")


def _plain(value: float) -> str:
    return repr(value).removesuffix(".0")


def pack_up(runs: Sequence[PlannedRun], lanes: int | str, first: int = 0) -> list[Pack]:
    """Cut the runs of each seed and method into packs of at most `lanes`, alike runs together.

    `first` is the number of the first pack, for runs that join a study with packs already.
    """
    limit = lanes if isinstance(lanes, int) else AUTO_LANES
    groups: dict[tuple[int, str], list[PlannedRun]] = defaultdict(list)
    for run in runs:
        groups[run.configuration.seed, run.configuration.method].append(run)
    cuts = [cut for group in groups.values() for cut in _even_cuts(_alike(group), limit)]
    return [Pack(f"pack-{index}", tuple(cut)) for index, cut in enumerate(cuts, first)]


def _alike(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Order by targets, then rank: lanes of unlike modules or ranks are padded."""
    order = {names: i for i, names in enumerate(dict.fromkeys(run.modules for run in runs))}
    return sorted(runs, key=lambda run: (order[run.modules], run.configuration.rank))


def _even_cuts(runs: Sequence[PlannedRun], limit: int) -> Iterator[Sequence[PlannedRun]]:
    num_packs = -(-len(runs) // limit)
    ends = [len(runs) * i // num_packs for i in range(num_packs + 1)]
    return (runs[start:end] for start, end in itertools.pairwise(ends))


def _unused_warnings(written: TargetSets, used: Mapping[str, _Target]) -> Iterator[str]:
    unused = [name for name in written if name not in used]
    if unused:
        yield f"no [[grid]] table uses the set{'s' if len(unused) > 1 else ''} {', '.join(unused)}"


def _unmatched_warnings(targets: Mapping[str, _Target]) -> dict[str, str]:
    """Return a warning for each target of which some name matches nothing."""
    return {name: _unmatched(name, targets) for name in targets if targets[name].unmatched}


def _unmatched(name: str, targets: Mapping[str, _Target]) -> str:
    target = targets[name]
    same = [other for other in targets if other != name and _same(target, targets[other])]
    return (
        f"targets {name!r}: no module of this model is called {', '.join(target.unmatched)}, "
        f"so the set is {', '.join(target.matched)}"
        + (f", the same as {', '.join(map(repr, same))}" if same else "")
    )


def _with_warnings(
    runs: Sequence[PlannedRun], run_of: Sequence[int], warnings: Sequence[str | None]
) -> list[PlannedRun]:
    """Give each run the warnings of all configurations that share it."""
    found = list(zip(run_of, warnings, strict=True))
    return [
        replace(run, warnings=tuple(dict.fromkeys(w for i, w in found if i == index and w)))
        for index, run in enumerate(runs)
    ]


def _same(one: _Target, other: _Target) -> bool:
    return one.modules == other.modules


def _repeat_warnings(
    written: Sequence[Configuration], run_of: Sequence[int], runs: Sequence[PlannedRun]
) -> Iterator[str]:
    seen: set[int] = set()
    repeats: Counter[tuple[str, str]] = Counter()
    for point, index in zip(written, run_of, strict=True):
        if index in seen:
            repeats[point.targets, runs[index].configuration.targets] += 1
        seen.add(index)
    if repeats:
        which = ", ".join(
            f"{count} of targets {name!r} repeat runs of {kept!r}"
            for (name, kept), count in repeats.items()
        )
        yield f"{repeats.total()} of {len(written)} configurations share another's run: {which}"


def _alpha_warnings(written: Sequence[Configuration]) -> Iterator[str]:
    ranks: dict[float, set[int]] = defaultdict(set)
    for point in written:
        # rsLoRA's divisor is meant to go with a fixed alpha.
        if not isinstance(point.alpha, str) and point.scaling == "standard":
            ranks[float(point.alpha)].add(point.rank)
    fixed = {alpha: values for alpha, values in ranks.items() if len(values) > 1}
    for alpha, values in fixed.items():
        low, high = min(values), max(values)
        yield (
            f"alpha is fixed at {_plain(alpha)} while the rank varies from {low} to {high}: the "
            f"scale alpha/rank goes from {alpha / low:g} to {alpha / high:g}, so ranks are "
            'compared at unlike step sizes; alpha = "2r" holds the scale'
        )


def _lr_warnings(written: Sequence[Configuration]) -> Iterator[str]:
    low, high = USUAL_LR
    unusual = sorted({point.lr for point in written if not low <= point.lr <= high})
    if unusual:
        yield (
            f"learning rates outside {_scientific(low)} to {_scientific(high)}, where LoRA "
            f"usually trains well: {', '.join(map(_scientific, unusual))}"
        )
