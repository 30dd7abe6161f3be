"""Drawings of maps and inputs as arrays of colours, figures and HTML: red speaks for the target, blue against it.

``view`` says how an input is drawn; ``drawings`` holds one class for each kind of input. Both build on ``colours``,
``charts`` and ``words``. ``figures`` joins drawings with a ``legend``; ``html`` does so for notebooks.
"""

from pnpxai.pictures.charts import ROWS, columns, series, waterfall
from pnpxai.pictures.colours import (
    LEVELS,
    clipped_limit,
    colour_of,
    colour_scale,
    coloured,
    inline_png,
    largest,
    overlaid,
    palette,
    pictured,
    png,
    shrunk,
)
from pnpxai.pictures.drawings import Drawing, PictureDrawing, drawing_of, words_of_example
from pnpxai.pictures.figures import figure, panel
from pnpxai.pictures.html import html
from pnpxai.pictures.look import CLIP, Look, Style
from pnpxai.pictures.networks import network
from pnpxai.pictures.table_values import TableColumns, table_values
from pnpxai.pictures.view import Display, Kind, View
from pnpxai.pictures.words import NEW_LINE, dark, merged, without_formula, words, words_html

__all__ = [
    "CLIP",
    "LEVELS",
    "NEW_LINE",
    "ROWS",
    "Display",
    "Drawing",
    "Kind",
    "Look",
    "PictureDrawing",
    "Style",
    "TableColumns",
    "View",
    "clipped_limit",
    "colour_of",
    "colour_scale",
    "coloured",
    "columns",
    "dark",
    "drawing_of",
    "figure",
    "html",
    "inline_png",
    "largest",
    "merged",
    "network",
    "overlaid",
    "palette",
    "panel",
    "pictured",
    "png",
    "series",
    "shrunk",
    "table_values",
    "waterfall",
    "without_formula",
    "words",
    "words_of_example",
    "words_html",
]
