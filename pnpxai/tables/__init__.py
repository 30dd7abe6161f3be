"""What the columns of a table hold, and answers about all its rows together: what matters overall, and for whom.

``table`` reads each ``column`` of a frame, those of ``one_hot`` encoders too. ``summary`` holds the numbers
of many rows, ``charts`` draws them; ``shap_exchange`` turns explanations into those of shap and back.
"""

from pnpxai.tables.column import Column
from pnpxai.tables.shap_exchange import from_shap, to_shap
from pnpxai.tables.summary import TableSummary
from pnpxai.tables.table import Table

__all__ = ["Column", "Table", "TableSummary", "from_shap", "to_shap"]
