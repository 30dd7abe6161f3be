"""Fills in the table of language models on its page; ``python docs/hooks/language.py`` measures it again.

Figures are kept in ``language.json``, so that building the pages needs no model.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MEASURED = Path(__file__).parents[1] / "language.json"
_MARK = "<!-- language models -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the mark (called by MkDocs)."""
    return markdown.replace(_MARK, "\n".join(_rows())) if _MARK in markdown else markdown


def measure() -> dict[str, Any]:
    """Return each figure of each architecture."""
    sys.path.insert(0, str(Path(__file__).parents[2]))  # the checks stand in tests/
    import torch
    import transformers

    import pnpxai
    from tests.language.checks import CHECKS
    from tests.language.models import DECODERS, ENCODER_DECODERS, MEDIA

    torch.set_num_threads(1)
    figures = {
        name: {check.title: check.figure(name) for check in CHECKS} for name in [*DECODERS, *ENCODER_DECODERS, *MEDIA]
    }
    return {
        "made": f"pnpxai {pnpxai.__version__}, torch {torch.__version__}, transformers {transformers.__version__}",
        "figures": figures,
    }


def _rows() -> Iterator[str]:
    data = json.loads(MEASURED.read_text())
    titles = list(next(iter(data["figures"].values())))
    yield f"| | {' | '.join(titles)} |"
    yield "|---|" + "---|" * len(titles)
    for name, figures in data["figures"].items():
        yield f"| {name} | " + " | ".join(map(_short, figures.values())) + " |"
    yield from ("", f"Measured with {data['made']}; all models have random weights in single precision.")


def _short(figure: float | None) -> str:
    return "–" if figure is None else "0" if not figure else f"{figure:.0e}".replace("e-0", "e-")


if __name__ == "__main__":
    MEASURED.write_text(json.dumps(measure(), indent=1) + "\n")
