"""Maps and inputs as arrays of colours, figures and HTML: red speaks for the target, blue against it."""

from pnpxai.pictures.charts import ROWS, columns, series, waterfall
from pnpxai.pictures.colours import (
    LEVELS,
    colour_of,
    coloured,
    inline_png,
    largest,
    overlaid,
    palette,
    pictured,
    png,
    shrunk,
)
from pnpxai.pictures.figures import figure, panel, told_words
from pnpxai.pictures.html import html
from pnpxai.pictures.view import Display, Kind, View
from pnpxai.pictures.words import dark, merged, words, words_html

__all__ = [
    "LEVELS",
    "ROWS",
    "Display",
    "Kind",
    "View",
    "colour_of",
    "coloured",
    "columns",
    "dark",
    "figure",
    "html",
    "inline_png",
    "largest",
    "merged",
    "overlaid",
    "palette",
    "panel",
    "pictured",
    "png",
    "series",
    "shrunk",
    "told_words",
    "waterfall",
    "words",
    "words_html",
]
