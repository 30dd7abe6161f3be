"""Fills in the page of explainers against architectures; ``python docs/hooks/matrix.py`` measures it again.

Measuring takes a few minutes; the figures are kept in ``matrix.json``, so that building the pages stays quick. Names of
networks with trained weights (``NETWORKS`` of ``tests/real/matrix.py``), or ``real`` for all, measure those alone.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MEASURED = Path(__file__).parents[1] / "matrix.json"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the marks, such as ``<!-- matrix: laws -->`` (called by MkDocs)."""
    if "<!-- matrix:" not in markdown:
        return markdown
    data = json.loads(MEASURED.read_text())
    own = [name for name, facts in data["architectures"].items() if facts["library"] == "pnpxai"]
    libraries = [name for name in data["architectures"] if name not in own]
    tables = {
        "laws": lambda: _laws(data),
        "own": lambda: _cells(data, own),
        "libraries": lambda: _cells(data, libraries),
        "real": lambda: _real(data),
        "refusals": lambda: _refusals(data),
        "planted": lambda: _planted(data),
        "made": lambda: iter([data["made"]]),
    }
    return re.sub(r"<!-- matrix: (\w+) -->", lambda mark: "\n".join(tables[mark[1]]()), markdown)


def measure() -> dict[str, Any]:
    """Return what holds in every cell."""
    sys.path.insert(0, str(Path(__file__).parents[2]))  # the laws stand in tests/
    import torch
    import torchvision
    from tqdm import tqdm

    import pnpxai
    from pnpxai.declare.registry import every
    from pnpxai.explainers.base import Explainer
    from pnpxai.testing.architectures import ARCHITECTURES
    from pnpxai.testing.planted import TASKS
    from tests.laws import laws_of
    from tests.laws.matrix import cell

    torch.set_num_threads(1)
    explainers = [explainer for explainer in every(Explainer, within="pnpxai.") if not explainer.control]
    cells: dict[str, Any] = {}
    for explainer in tqdm(explainers):
        row = cells[explainer.__name__] = {}
        for name, make in ARCHITECTURES.items():
            found = cell(explainer, make())
            figures = {finding.law.title: float(f"{finding.figure:.1e}") for finding in found.findings}
            row[name] = figures or {"refused": found.refused, "shown": found.shown}
    return {
        "made": f"pnpxai {pnpxai.__version__}, torch {torch.__version__}, torchvision {torchvision.__version__}",
        "architectures": {name: _facts(make().model) for name, make in ARCHITECTURES.items()},
        "laws": {
            explainer.__name__: {law.title: [law.limit, law.on is None] for law in laws_of(explainer)}
            for explainer in explainers
        },
        "cells": cells,
        "planted": {name: _found(name, every(Explainer, within="pnpxai.")) for name in TASKS},
    }


def measure_real(names: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the names of networks with trained weights, and what holds of each explainer on them."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    import torch
    from tqdm import tqdm

    from pnpxai.declare.registry import every
    from pnpxai.explainers.base import Explainer
    from tests.real.matrix import NETWORKS, real_cell

    torch.set_num_threads(1)
    for name in NETWORKS if names == ["real"] else names:
        case = NETWORKS[name]()
        explainers = [explainer for explainer in every(Explainer, within="pnpxai.") if not explainer.control]
        yield name, {explainer.__name__: real_cell(explainer, case) for explainer in tqdm(explainers, name)}


def _found(name: str, explainers: list[Any]) -> dict[str, list[float]]:
    """Return the mean rank accuracy of each explainer that fits a task, and what it gains over a random map."""
    from pnpxai.detector import detect
    from pnpxai.explainers.controls import RandomMap
    from pnpxai.statistics import bootstrap
    from pnpxai.testing.planted import TASKS, rank_accuracy

    task = TASKS[name]()
    chance = rank_accuracy(RandomMap, task)
    rows = {}
    for explainer in explainers:
        if explainer.reason_against(detect(task.model), task.traits) is None:
            found = rank_accuracy(explainer, task)
            gain = bootstrap(found - chance)
            rows[explainer.__name__] = [round(v, 3) for v in (float(found.mean()), gain.mean, gain.low, gain.high)]
    return rows


def _facts(model: Any) -> dict[str, Any]:
    library = type(model).__module__.partition(".")[0]
    return {
        "library": library if library in ("torchvision", "timm", "transformers") else "pnpxai",
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def _laws(data: dict[str, Any]) -> Iterator[str]:
    yield from ("| explainer | what its maps are held to | off by at most |", "|---|---|---|")
    for explainer, laws in data["laws"].items():
        for k, (title, (_, everywhere)) in enumerate(laws.items()):
            figures = [c[title] for c in data["cells"][explainer].values() if title in c]
            where = "" if everywhere else f" ({len(figures)} architectures)"
            yield f"| {'' if k else explainer} | {title}{where} | {max(figures):.0e} |"


def _cells(data: dict[str, Any], names: list[str]) -> Iterator[str]:
    yield "| | " + " | ".join(name.replace("_", " ") for name in names) + " |"
    yield "|---|" + "---|" * len(names)
    for explainer, row in data["cells"].items():
        shown = ["–" if "refused" in row[n] else _short(max(row[n].values())) for n in names]
        yield f"| {explainer} | " + " | ".join(shown) + " |"


def _real(data: dict[str, Any]) -> Iterator[str]:
    """Yield a row for each explainer, and then what is refused."""
    networks = data["real"]
    yield "| | " + " | ".join(networks) + " |"
    yield "|---|" + "---|" * len(networks)
    why: dict[str, list[str]] = {}
    for explainer in data["cells"]:
        row = {name: cells.get(explainer, {}) for name, cells in networks.items()}
        shown = ["–" if "refused" in c else _short(max(c.values())) if c else "not run" for c in row.values()]
        yield f"| {explainer} | " + " | ".join(shown) + " |"
        for name, cell in row.items():
            if "refused" in cell:
                why.setdefault(cell["refused"].partition(";")[0], []).append(f"{explainer} on {name}")
    yield from ("", "| because | is refused |", "|---|---|")
    for reason, members in why.items():
        yield f"| {reason} | {', '.join(members)} |"


def _short(figure: float) -> str:
    return f"{figure:.0e}".replace("e-0", "e-").replace("-", "\N{NON-BREAKING HYPHEN}") if figure else "0"


def _refusals(data: dict[str, Any]) -> Iterator[str]:
    yield from ("| explainer | refuses | because | without the refusal |", "|---|---|---|---|")
    for explainer, row in data["cells"].items():
        groups: dict[str, list[tuple[str, str]]] = {}
        for name, found in row.items():
            if "refused" in found:
                why, _, proof = found["shown"].partition(": ")
                groups.setdefault(why, []).append((name, proof))
        for why, members in groups.items():
            names = ", ".join(name for name, _ in members)
            example = members[0][1].replace("|", "\\|")
            yield f"| {explainer} | {names} | {why} | {members[0][0]}: {example} |"


def _planted(data: dict[str, Any]) -> Iterator[str]:
    tasks = list(data["planted"])
    yield "| | " + " | ".join(f"{task} | more than a random map" for task in tasks) + " |"
    yield "|---|" + "---|---|" * len(tasks)
    for explainer in sorted({name for rows in data["planted"].values() for name in rows}):
        shown = []
        for task in tasks:
            found = data["planted"][task].get(explainer)
            shown.append("refused | " if found is None else "{:.2f} | {:+.2f} [{:+.2f}, {:+.2f}]".format(*found))
        yield f"| {explainer} | " + " | ".join(shown) + " |"


if __name__ == "__main__":
    figures = json.loads(MEASURED.read_text())
    for name, cells in measure_real(sys.argv[1:]) if sys.argv[1:] else ():
        figures.setdefault("real", {})[name] = cells
        MEASURED.write_text(json.dumps(figures, indent=1) + "\n")
    if not sys.argv[1:]:
        MEASURED.write_text(json.dumps(figures | measure(), indent=1) + "\n")
