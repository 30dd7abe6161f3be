"""One HTML file of a comparison: it needs no network, and holds the same bytes for the same results."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pnpxai.errors import ArgumentError
from pnpxai.experiment import Results
from pnpxai.files import write_file
from pnpxai.report.curves import families, searches
from pnpxai.report.differences import agreement, by_class, front, pairs
from pnpxai.report.forms.words import shades
from pnpxai.report.maps import class_name, class_names, gallery
from pnpxai.report.page import compared, descriptions, learned, ranking, settings, undefined, unfit
from pnpxai.report.strips import distributions, interval
from pnpxai.report.words import counted, humps, number

__all__ = ["write_report"]


def write_report(
    results: Results, path: str | Path, *, title: str = "Comparison of explainers", command: str | None = None
) -> Path:
    """Write what a comparison found as one self-contained HTML file, complete or not at all.

    Args:
        results: what ``compare`` returned, or ``Results.load`` read.
        path: where to; folders that are missing are made.
        title: the page's heading.
        command: the command that makes the report again, shown at its end; by default the one that the run remembers.

    Returns:
        the path.

    Raises:
        ArgumentError: these are no results, or ``path`` is a folder.
    """
    if not isinstance(results, Results):
        raise ArgumentError(
            f"results: expected what compare returned, got {results!r}; Results.load(folder) reads a run folder"
        )
    if not isinstance(path, (str, Path)):
        raise ArgumentError(f"path: expected a file such as 'report.html', got {path!r}")
    path = Path(path)
    if path.is_dir():
        raise ArgumentError(f"path: expected a file such as {path / 'report.html'}, got the folder {path}")
    page = _page(results, title, command)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_file(path, lambda file: file.write_text(page, encoding="utf-8", newline="\n"))


def _page(results: Results, title: str, command: str | None) -> str:
    environment = Environment(
        loader=PackageLoader("pnpxai.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "humps": humps, "counted": counted}
    script = files("pnpxai.report").joinpath("script.js").read_text(encoding="utf-8")
    metric = "AbPC" if "AbPC" in results.directions else results.metrics[0]
    classes, class_means = by_class(results, metric)
    return environment.get_template("template.html").render(
        title=title,
        command=command or results.facts.get("command"),
        families=families(results),
        searches=searches(results),
        tested=pairs(results),
        agreement=agreement(results),
        front=front(results),
        classes=[class_name(class_names(results), of) for of in classes],
        class_means=class_means,
        class_metric=metric,
        results=results,
        compared=compared(results),
        ranking=ranking(results),
        distributions=distributions(results),
        gallery=gallery(results),
        learned=learned(results),
        settings=settings(results),
        unfit=unfit(results),
        undefined=undefined(results),
        descriptions=descriptions(results),
        interval=interval,
        script=Markup(script),
        # only this very script may run: text that got past the escaping would still be inert
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style=Markup(files("pnpxai.report").joinpath("style.css").read_text(encoding="utf-8") + shades()),
    )
