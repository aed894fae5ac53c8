"""Heat maps: F1 by learning rate and rank, one for each set of modules."""

from collections import defaultdict
from statistics import fmean

from lorasweep.folder.records import Results
from lorasweep.report.blocks import Figure
from lorasweep.report.charts.analysis_charts import HeatCell, heat_map
from lorasweep.report.ranking import scored_runs
from lorasweep.report.words.language import Strings

Pair = tuple[int, float]


def heat_maps(results: Results, say: Strings) -> list[Figure]:
    """Return a map for each set of modules for which rank and learning rate both vary.

    A cell is the mean F1 of the configurations as written that share rank and learning rate.
    """
    of_run = {each.run.id: each.scores.rank.mean for each in scored_runs(results)}
    found: dict[str, dict[Pair, list[float]]] = defaultdict(lambda: defaultdict(list))
    for point in results.configurations:
        if point["method"] != "full" and point["run"] in of_run:
            pair = (point["rank"], point["lr"])
            found[point["targets"]][pair].append(of_run[point["run"]])
    maps = {targets: cells for targets, cells in found.items() if _is_map(list(cells))}
    bounds = _bounds(list(maps.values()))
    return [
        _figure(number, targets, cells, bounds, say)
        for number, (targets, cells) in enumerate(maps.items(), 1)
    ]


def _is_map(pairs: list[Pair]) -> bool:
    ranks, rates = zip(*pairs, strict=True)
    return len(set(ranks)) > 1 and len(set(rates)) > 1


def _bounds(maps: list[dict[Pair, list[float]]]) -> tuple[float, float]:
    """Return the lowest and the highest mean, so that all maps have the same shades."""
    means = [fmean(values) for cells in maps for values in cells.values()]
    return (min(means), max(means)) if means else (0.0, 0.0)


def _figure(
    number: int,
    targets: str,
    found: dict[Pair, list[float]],
    bounds: tuple[float, float],
    say: Strings,
) -> Figure:
    cells = [
        HeatCell(say.rate(lr), say.integer(rank), fmean(found[rank, lr]))
        for rank, lr in sorted(found)
    ]
    cells.sort(key=lambda cell: float(cell.x))
    rows = [f"{cell.y}, {cell.x}: {say.decimal(cell.f1)}" for cell in cells]
    return Figure(
        f"lr_rank_{number}",
        say("ablation.heat", targets=targets),
        say("ablation.heat_caption"),
        say("ablation.heat_words", targets=targets, rows=say.list(rows, most=30)),
        heat_map(cells, say("column.lr"), say("column.rank"), bounds, say),
    )
