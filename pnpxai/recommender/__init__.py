"""Which explainers fit a model and data, and which of them, tuned, the metrics prefer.

``fit`` filters explainers by facts; ``recommender`` tunes those that fit and compares them on other examples;
``ranking`` is its result.
"""

from pnpxai.recommender.fit import Recommendation, recommend
from pnpxai.recommender.ranking import Ranking
from pnpxai.recommender.recommender import Recommender, XaiRecommender, rank

__all__ = ["Ranking", "Recommendation", "Recommender", "XaiRecommender", "rank", "recommend"]
