"""The statistics of comparing runs on the same questions, in clusters of one paragraph each."""

from lorasweep.scoring.stats.ablation import (
    AxisEffect,
    CellEffect,
    LevelEffect,
    VarianceShares,
    interactions,
    level_weights,
    main_effects,
    variance_shares,
    varied_axes,
)
from lorasweep.scoring.stats.all_pairs import differences_from_chosen
from lorasweep.scoring.stats.clusters import Clusters
from lorasweep.scoring.stats.confidence_set import TiedBest, tied_best
from lorasweep.scoring.stats.edges import EdgeWarning, edge_warning, level_means
from lorasweep.scoring.stats.gap import Gap, gap_intervals
from lorasweep.scoring.stats.intervals import (
    Interval,
    bootstrap_interval,
    bootstrap_intervals,
    wilson_interval,
    within,
)
from lorasweep.scoring.stats.paired import (
    Difference,
    holm,
    mcnemar_exact,
    paired_difference,
    paired_differences,
    permutation_p_values,
    sentence,
)
from lorasweep.scoring.stats.power import Power, questions_to_settle
from lorasweep.scoring.stats.seeds import SeedSpread, seed_spreads

__all__ = [
    "AxisEffect",
    "CellEffect",
    "Clusters",
    "Difference",
    "EdgeWarning",
    "Gap",
    "Interval",
    "LevelEffect",
    "Power",
    "SeedSpread",
    "TiedBest",
    "VarianceShares",
    "bootstrap_interval",
    "bootstrap_intervals",
    "differences_from_chosen",
    "edge_warning",
    "gap_intervals",
    "holm",
    "interactions",
    "level_means",
    "level_weights",
    "main_effects",
    "mcnemar_exact",
    "paired_difference",
    "paired_differences",
    "permutation_p_values",
    "questions_to_settle",
    "seed_spreads",
    "sentence",
    "tied_best",
    "variance_shares",
    "varied_axes",
    "wilson_interval",
    "within",
]
