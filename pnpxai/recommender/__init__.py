"""Which explainers fit, and which of them, tuned, explains best."""

from pnpxai.recommender.fit import Recommendation, recommend
from pnpxai.recommender.rank import rank
from pnpxai.recommender.ranking import Ranking

__all__ = ["Ranking", "Recommendation", "rank", "recommend"]
