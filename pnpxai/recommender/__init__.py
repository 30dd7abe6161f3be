"""Which explainers fit a model and data, and which of them, tuned, the metrics prefer.

``fit`` filters explainers by facts, ``dry_runs`` tries them on one example, ``recommendation`` is what comes out;
``recommender`` tunes those that fit and compares them on other examples, ``ranking`` is its result.
"""

from pnpxai.recommender.dry_runs import DryRun, dry_run
from pnpxai.recommender.fit import by_facts, recommend
from pnpxai.recommender.ranking import Ranking
from pnpxai.recommender.recommendation import Recommendation
from pnpxai.recommender.recommender import Recommender, XaiRecommender, rank

__all__ = [
    "DryRun",
    "Ranking",
    "Recommendation",
    "Recommender",
    "XaiRecommender",
    "by_facts",
    "dry_run",
    "rank",
    "recommend",
]
