"""A study and its model's linear modules, to runs, packs and warnings: nothing is loaded."""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from lorasweep.errors import UserError
from lorasweep.hub.architectures import Architecture, LinearModule, architecture
from lorasweep.hub.weights import num_parameters
from lorasweep.study.fingerprint import canonical_json
from lorasweep.study.grid import Configuration, Scaling, resolve_alpha
from lorasweep.study.study import Study
from lorasweep.study.targets import Target, TargetSets, resolve, with_parts

# A processor is busy with few; a card is with many (docs/log.md has the speeds).
AUTO_LANES = {"cpu": 4, "cuda": 25}
# Where a method usually trains well: its name for people, the lowest and the highest.
USUAL_LR = {"lora": ("LoRA", 1e-5, 5e-3), "full": ("full fine-tuning", 1e-6, 2e-4)}


@dataclass(frozen=True)
class PlannedRun:
    """One distinct piece of training; its configuration has alpha as a number.

    Full fine-tuning has no modules and no scale: it trains every weight.
    """

    configuration: Configuration
    modules: tuple[str, ...]
    trainable_parameters: int
    scale: float | None
    label: str
    warnings: tuple[str, ...] = ()

    @property
    def work(self) -> dict[str, Any]:
        """What the run trains, however it is written: runs of the same work are one run.

        Axes at their default are left out, so that a new axis changes no run's identity.
        """
        point = self.configuration
        written = point.model_dump(exclude={"targets", "scaling"}, exclude_defaults=True)
        alpha = None if self.scale is None or point.rank is None else self.scale * point.rank
        return {
            "modules": list(self.modules),
            "scale": self.scale,
            "configuration": {**written, "alpha": alpha},
        }


@dataclass(frozen=True)
class Pack:
    """Runs that are trained in lockstep on one copy of the base model."""

    id: str
    runs: tuple[PlannedRun, ...]


@dataclass(frozen=True)
class Plan:
    """What a study comes to: `run_of[i]` is the index in `runs` of configuration i's run.

    Packs are those of a new folder on the device.
    """

    study: Study
    configurations: list[Configuration]
    run_of: list[int]
    runs: list[PlannedRun]
    packs: list[Pack]
    warnings: list[str]
    device: str


def make_plan(study: Study, config: dict[str, Any], device: str = "cpu") -> Plan:
    """Resolve a study against a base model's config.json.

    Raises UserError for targets that name no module of the model.
    """
    model = architecture(config)
    modules = with_parts(model.modules)
    written = study.configurations()
    targets = {
        name: _resolved(name, study.targets, model, modules)
        for name in dict.fromkeys(point.targets for point in written)
        if name is not None
    }
    unmatched = _unmatched_warnings(targets)
    trains_all = any(point.method == "full" for point in written)
    num_weights = num_parameters(config) if trains_all else 0
    runs, run_of = _distinct(written, targets, modules, num_weights)
    runs = _with_warnings(runs, run_of, [unmatched.get(p.targets or "") for p in written])
    warnings = [
        *_unused_warnings(study.targets, targets),
        *unmatched.values(),
        *([_fused(model)] if targets and model.fused_weights else []),
        *_repeat_warnings(written, run_of, runs),
        *_alpha_warnings(written),
        *_lr_warnings(written),
    ]
    packs = pack_up(runs, study.pack.lanes, device)
    return Plan(study, written, run_of, runs, packs, warnings, device)


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


def _resolved(
    name: str, written: TargetSets, model: Architecture, modules: Sequence[LinearModule]
) -> Target:
    try:
        return resolve(name, written, model.sets, modules)
    except UserError as error:
        if not model.fused_weights:
            raise
        raise UserError(f"{error}; {_fused(model)}") from None


def _fused(model: Architecture) -> str:
    return (
        f"{model.fused_weights:,} weights of this model's experts stand in fused parameters, "
        "which are not adapted"
    )


def _distinct(
    written: Sequence[Configuration],
    targets: Mapping[str, Target],
    modules: Sequence[LinearModule],
    num_weights: int,
) -> tuple[list[PlannedRun], list[int]]:
    """Return the runs, and for each configuration the index of the one that does its work."""
    label = Labels(written)
    index_of: dict[str, int] = {}
    runs: list[PlannedRun] = []
    run_of = []
    for point in written:
        run = (
            PlannedRun(point, (), num_weights, None, label(point))
            if point.targets is None
            else _planned_run(point, targets[point.targets].modules, modules, label)
        )
        work = canonical_json(run.work)
        if work not in index_of:
            index_of[work] = len(runs)
            runs.append(run)
        run_of.append(index_of[work])
    return runs, run_of


def _planned_run(
    written: Configuration,
    names: tuple[str, ...],
    modules: Sequence[LinearModule],
    label: "Labels",
) -> PlannedRun:
    rank, scaling = written.rank, written.scaling
    assert written.alpha is not None, "only full fine-tuning has none"
    assert rank is not None
    assert scaling is not None
    alpha = resolve_alpha(written.alpha, rank)
    resolved = written.model_copy(update={"alpha": alpha})
    chosen = set(names)
    sizes = sum(m.in_features + m.out_features for m in modules if m.name in chosen)
    scale = resolve_scale(alpha, rank, scaling)
    return PlannedRun(resolved, names, rank * sizes, scale, label(resolved))


class Labels:
    """Names runs such as "r4 lr1e-3 attn", with the other axes where they vary in the study."""

    def __init__(self, written: Sequence[Configuration]) -> None:
        axes = ("alpha", "scaling", "lr_ratio", "dropout", "seed")
        values = {axis: {getattr(point, axis) for point in written} - {None} for axis in axes}
        self.varies = {axis for axis, found in values.items() if len(found) > 1}

    def __call__(self, point: Configuration) -> str:
        """Return the name of one run."""
        first = "full" if point.method == "full" else f"r{point.rank}"
        parts = [first, f"lr{_scientific(point.lr)}", point.targets or ""]
        shown = {
            "alpha": f"alpha{_plain(point.alpha)}",
            "scaling": str(point.scaling),
            "lr_ratio": f"ratio{_plain(point.lr_ratio)}",
            "dropout": f"drop{_plain(point.dropout)}",
            "seed": f"seed{point.seed}",
        }
        for axis, text in shown.items():
            if axis in self.varies and getattr(point, axis) is not None:
                parts.append(text)
        return " ".join(filter(None, parts))


def _scientific(value: float) -> str:
    """Return 7e-5 for 7e-05, and 2.5e-4 for 0.00025: every digit that counts, no other."""
    text = f"{Decimal(repr(value)).normalize():e}"
    return text.replace("e+", "e").removesuffix("e0")


def _plain(value: float | str | None) -> str:
    return str(value).removesuffix(".0")


def resolve_scale(alpha: float, rank: int, scaling: Scaling) -> float:
    """Return what B A is multiplied by: alpha/rank, or rsLoRA's alpha/sqrt(rank).

    Reference: Kalajdzievski 2023, arXiv:2312.03732.
    """
    return alpha / (math.sqrt(rank) if scaling == "rslora" else rank)


def pack_up(
    runs: Sequence[PlannedRun], lanes: int | str, device: str, first: int = 0
) -> list[Pack]:
    """Cut the runs of each seed and method into packs of at most `lanes`, alike runs together.

    A full fine-tuning is a pack of its own.
    `first` is the number of the first pack, for runs that join a study with packs already.
    """
    limits = {"lora": lanes if isinstance(lanes, int) else AUTO_LANES[device], "full": 1}
    groups: dict[tuple[int, str], list[PlannedRun]] = defaultdict(list)
    for run in runs:
        groups[run.configuration.seed, run.configuration.method].append(run)
    cuts = [
        cut
        for (_, method), group in groups.items()
        for cut in _even_cuts(_alike(group), limits[method])
    ]
    return [Pack(f"pack-{index}", tuple(cut)) for index, cut in enumerate(cuts, first)]


def _alike(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """Order by targets, then rank: lanes of unlike modules or ranks are padded."""
    order = {names: i for i, names in enumerate(dict.fromkeys(run.modules for run in runs))}
    return sorted(runs, key=lambda run: (order[run.modules], run.configuration.rank or 0))


def _even_cuts(runs: Sequence[PlannedRun], limit: int) -> Iterator[Sequence[PlannedRun]]:
    num_packs = -(-len(runs) // limit)
    ends = [len(runs) * i // num_packs for i in range(num_packs + 1)]
    return (runs[start:end] for start, end in itertools.pairwise(ends))


def _unused_warnings(written: TargetSets, used: Mapping[str, Target]) -> Iterator[str]:
    unused = [name for name in written if name not in used]
    if unused:
        yield f"no [[grid]] table uses the set{'s' if len(unused) > 1 else ''} {', '.join(unused)}"


def _unmatched_warnings(targets: Mapping[str, Target]) -> dict[str, str]:
    """Return a warning for each target of which some name matches nothing."""
    return {name: _unmatched(name, targets) for name in targets if targets[name].unmatched}


def _unmatched(name: str, targets: Mapping[str, Target]) -> str:
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


def _same(one: Target, other: Target) -> bool:
    return one.modules == other.modules


def _repeat_warnings(
    written: Sequence[Configuration], run_of: Sequence[int], runs: Sequence[PlannedRun]
) -> Iterator[str]:
    seen: set[int] = set()
    repeats: Counter[tuple[str, str]] = Counter()
    for point, index in zip(written, run_of, strict=True):
        if index in seen:
            kept = runs[index].configuration
            repeats[point.targets or point.method, kept.targets or kept.method] += 1
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
        if isinstance(point.alpha, float | int) and point.rank and point.scaling == "standard":
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
    for method, (name, low, high) in USUAL_LR.items():
        rates = {point.lr for point in written if point.method == method}
        unusual = sorted(lr for lr in rates if not low <= lr <= high)
        if unusual:
            yield (
                f"learning rates outside {_scientific(low)} to {_scientific(high)}, where {name} "
                f"usually trains well: {', '.join(map(_scientific, unusual))}"
            )
