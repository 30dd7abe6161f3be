"""Which explainers fit, and which of them, tuned, explains best."""

from pnpxai.recommender.fit import Recommendation, recommend
from pnpxai.recommender.ranking import Ranking
from pnpxai.recommender.recommender import Recommender, XaiRecommender, rank

__all__ = ["Ranking", "Recommendation", "Recommender", "XaiRecommender", "rank", "recommend"]
