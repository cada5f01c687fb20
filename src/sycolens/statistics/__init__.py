"""How sure a number is: intervals, p-values and stability for head scores and rates, used from find/ to measure/.

Everything here is a pure function of tensors. The first axis of ``values`` is always the independent sample (one
contrast pair, one dialogue); whatever follows is a map of cells (layer by head), and all cells see the same
resamples, so that they stay comparable. Cases of a share stand on the last axis, since cells of rates come first.
Work is done on the CPU in float64 and in blocks, so memory stays bounded.
"""

from sycolens.statistics.clusters import Clusters, share_interval, wilson_interval
from sycolens.statistics.families import benjamini_hochberg, hypergeometric_tail, permutations_needed
from sycolens.statistics.kappa import Kappa, cohens_kappa
from sycolens.statistics.means import bootstrap_interval, sign_flip_p
from sycolens.statistics.runs import pooled_ratio_interval, pooled_share_interval, ratio_interval
from sycolens.statistics.stability import RankStability, rank_stability, spearman

__all__ = [
    "Clusters",
    "Kappa",
    "RankStability",
    "benjamini_hochberg",
    "bootstrap_interval",
    "cohens_kappa",
    "hypergeometric_tail",
    "permutations_needed",
    "pooled_ratio_interval",
    "pooled_share_interval",
    "rank_stability",
    "ratio_interval",
    "share_interval",
    "sign_flip_p",
    "spearman",
    "wilson_interval",
]
