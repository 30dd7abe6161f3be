"""Intervals, ranks, simultaneous tests, and the rule that says which explanations to prefer.

``intervals`` and ``ranks`` describe one explainer; ``simultaneous`` says which of several cannot be told from the best;
``decision`` builds the default rule on both, and the words of its verdict.
"""

from pnpxai.statistics.decision import Decision, DecisionRule, MeanRank
from pnpxai.statistics.intervals import Interval, bootstrap
from pnpxai.statistics.ranks import pearson, ranks
from pnpxai.statistics.simultaneous import better_than, holm, smallest_sample, tied_with_best

__all__ = [
    "Decision",
    "DecisionRule",
    "Interval",
    "MeanRank",
    "better_than",
    "bootstrap",
    "holm",
    "pearson",
    "ranks",
    "smallest_sample",
    "tied_with_best",
]
