"""Answers about all rows of a table together: what matters overall, for whom, and with what.

``summary`` holds the numbers, ``charts`` draws them; ``shap_exchange`` turns explanations into those of shap and back.
"""

from pnpxai.tables.shap_exchange import from_shap, to_shap
from pnpxai.tables.summary import TableSummary

__all__ = ["TableSummary", "from_shap", "to_shap"]
