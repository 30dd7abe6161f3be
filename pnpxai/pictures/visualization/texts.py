"""Draws the maps of texts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from torch import Tensor

from pnpxai.pictures.view import as_array
from pnpxai.pictures.words import words_html

__all__ = ["VisualizationDataRecord", "visualize_text"]


@dataclass
class VisualizationDataRecord:
    """A text with its attributions, as ``visualize_text`` draws it in one row.

    Attributes:
        word_attributions: (words,) attributions, drawn as shares of 1.
        pred_prob: the probability of the predicted class.
        pred_class: the predicted class.
        true_class: the true class.
        attr_class: the class that is explained.
        attr_score: the sum of the attributions.
        raw_input_ids: the words.
        convergence_score: how far the attributions miss their sum.
    """

    word_attributions: Tensor
    pred_prob: float
    pred_class: object
    true_class: object
    attr_class: object
    attr_score: float
    raw_input_ids: list[str]
    convergence_score: float


class _Html(str):
    """HTML that a notebook shows."""

    @property
    def data(self) -> str:
        """The text, under the name that IPython gives it."""
        return str(self)

    def _repr_html_(self) -> str:
        return str(self)


def visualize_text(datarecords: Iterable[VisualizationDataRecord], legend: bool = True) -> _Html:
    """Return a table of texts on the colours of their attributions, which a notebook shows.

    Args:
        datarecords: the texts.
        legend: say what the colours mean.
    """
    heads = ("True label", "Predicted label", "Attribution label", "Attribution score", "Word importance")
    rows = ["".join(f"<th>{head}</th>" for head in heads)]
    for record in datarecords:
        values = as_array(record.word_attributions).reshape(-1)[: len(record.raw_input_ids)]
        cells = [record.true_class, f"{record.pred_class} ({record.pred_prob:.2f})", record.attr_class]
        cells.append(f"{record.attr_score:.2f}")
        row = "".join(f"<td>{escape(str(cell))}</td>" for cell in cells)
        rows.append(row + f"<td>{words_html(values, record.raw_input_ids[: len(values)], 1.0)}</td>")
    words = "<p>red: for the class; blue: against it</p>" if legend else ""
    return _Html(words + "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>")
