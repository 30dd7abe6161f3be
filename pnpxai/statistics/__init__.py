"""Intervals, ranks, simultaneous tests, and the rule that says which explanations to prefer.

``intervals`` and ``ranks`` describe one explainer; ``simultaneous`` says which of several cannot be told from the best;
``decision`` has the tests that rules share and the words of a verdict; ``mean_rank`` and ``with_prior`` are rules, the
latter on ``prior``, what was learnt where the truth is known, and ``reliability``, how often it was right there.
"""

from pnpxai.statistics.decision import Decision, DecisionRule
from pnpxai.statistics.intervals import Interval, bootstrap
from pnpxai.statistics.mean_rank import MeanRank
from pnpxai.statistics.ranks import pearson, ranks
from pnpxai.statistics.simultaneous import better_than, holm, smallest_sample, tied_with_best
from pnpxai.statistics.with_prior import WithPrior, default_rule

__all__ = [
    "Decision",
    "DecisionRule",
    "Interval",
    "MeanRank",
    "WithPrior",
    "better_than",
    "bootstrap",
    "default_rule",
    "holm",
    "pearson",
    "ranks",
    "smallest_sample",
    "tied_with_best",
]
