"""Draws maps under captum's names and arguments, in the colours of all pictures here: red is for the target.

``pictures``, ``series`` and ``texts`` draw one kind of data each, the first two with the colours of ``scales``. Figures
are returned; a notebook shows those that pyplot makes.
"""

from pnpxai.pictures.visualization.pictures import (
    ImageVisualizationMethod,
    visualize_image_attr,
    visualize_image_attr_multiple,
)
from pnpxai.pictures.visualization.scales import VisualizeSign
from pnpxai.pictures.visualization.series import TimeseriesVisualizationMethod, visualize_timeseries_attr
from pnpxai.pictures.visualization.texts import VisualizationDataRecord, visualize_text

__all__ = [
    "ImageVisualizationMethod",
    "TimeseriesVisualizationMethod",
    "VisualizationDataRecord",
    "VisualizeSign",
    "visualize_image_attr",
    "visualize_image_attr_multiple",
    "visualize_text",
    "visualize_timeseries_attr",
]
