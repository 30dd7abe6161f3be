"""What is drawn of an explanation: maps and inputs of the first examples, with their titles; in notebooks all of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor

from pnpxai.declare.counts import whole_number
from pnpxai.errors import ArgumentError
from pnpxai.explainers.results.descriptions import of_target
from pnpxai.explainers.results.group_values import counted_once
from pnpxai.explainers.results.match_inputs import whose
from pnpxai.pictures import Kind, Look, Style, View, html
from pnpxai.pictures.notebook import lines_html
from pnpxai.targets import Box

if TYPE_CHECKING:
    from pnpxai.explainers.results.explanation import Explanation

__all__ = ["heading", "html_of", "parts_of"]

_SHOWN = 6
"""Examples that a notebook shows."""


def parts_of(
    explanation: Explanation, limit: int, member: int, kind: Kind | None = None, style: Style | None = None
) -> tuple[Tensor, Tensor, list[str], View]:
    """Return maps, inputs, titles and the view of one explained argument.

    Args:
        explanation: the explanation.
        limit: at most so many examples have a title.
        member: number of the explained argument.
        kind: the kind of drawing; by default the view's.
        style: a waterfall counts a group's value once; so do all pictures where a category has several columns.

    Raises:
        ArgumentError: there is no such argument.
    """
    attributions, count = explanation.attributions, len(explanation)
    limit = whole_number("limit", limit)
    if member not in range(len(attributions)):
        raise ArgumentError(f"member: expected 0 to {len(attributions) - 1}, got {member!r}")
    own = whose(attributions, explanation.inputs)[member]
    view = explanation.views[own] if own < len(explanation.views) else View()
    scores = explanation.scores.expand(count)  # the model may give one for its whole batch
    titles = [
        f"#{k}  {of_target(explanation[k].targets, view.classes)}score {float(scores[k]):.3g}"
        for k in range(min(limit, count))
    ]
    maps = attributions[member]
    if (style == "waterfall" or view.groups) and explanation.feature_mask is not None:
        maps = counted_once(attributions, explanation.feature_mask)[member]
    if explanation.postprocessor is not None:
        maps = explanation.postprocessor.of(own)(maps)
    if isinstance(explanation.targets, Box):
        view = replace(view, boxes=explanation.targets.in_pixels(explanation.inputs[own]))
    return maps, explanation.inputs[own], titles, view if kind is None else replace(view, kind=kind)


def heading(explanation: Explanation, shown: int) -> str:
    """Return the explainer's name, and how many examples a figure leaves out."""
    count = len(explanation)
    left_out = f", {shown} of {count} examples: limit={count} draws all" if shown < count else ""
    return f"{explanation.explainer}{left_out}"


def html_of(explanation: Explanation) -> str:
    """Return the HTML that a notebook shows: the facts, and the first examples of every explained argument."""
    parts = [lines_html(repr(explanation))]
    look = Look(signed=explanation.signed)
    members = [parts_of(explanation, _SHOWN, member) for member in range(len(explanation.attributions))]
    if len(explanation) > (shown := len(members[0][2])):
        parts.append(f"<p>{shown} of {len(explanation)} examples; plot(limit={len(explanation)}) draws all</p>")
    if len(members) == 1:
        return "".join([*parts, html(*members[0], look)])
    for k, title in enumerate(members[0][2]):  # the inputs of an example together
        for maps, inputs, _, view in members:
            own = slice(k, k + 1)
            parts.append(html(maps[own], inputs[own], [title], view.take([k]), look))
            title = ""
    return "".join(parts)
