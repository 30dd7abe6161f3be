"""Fills in how metrics did in their meta-evaluation, as ``benchmarks/meta_evaluation.py`` measured it.

On a page, ``<!-- meta-evaluation: table -->`` becomes the table and ``<!-- meta-evaluation: made -->`` how it was made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MEASURED = Path(__file__).parents[1] / "meta_evaluation.json"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the marks (called by MkDocs)."""
    if "<!-- meta-evaluation:" not in markdown:
        return markdown
    data = json.loads(MEASURED.read_text())
    parts = {"made": lambda: data["made"], "table": lambda: "\n".join(_table(data["metrics"]))}
    return re.sub(r"<!-- meta-evaluation: (\w+) -->", lambda mark: parts[mark[1]](), markdown)


def _table(metrics: dict[str, Any]) -> Iterator[str]:
    yield "| metric | kept, inputs | kept, model | worse, inputs | worse, model | MC, inputs | MC, model | |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, found in sorted(metrics.items()):
        kinds = found["measured"].values()
        kept, mean = ([f"{kind[measure][0]:.2f}" for kind in kinds] for measure in ("IEC NR", "MC"))
        worse = ["{:.2f} ({:.2f} to {:.2f})".format(*kind["IEC AR"]) for kind in kinds]
        yield f"| `{name}` | {' | '.join(kept + worse + mean)} | {_verdict(found)} |"


def _verdict(found: dict[str, Any]) -> str:
    words = {"NR": "resilience", "AR": "reactivity"}
    parts = []
    for verdict in ("fails", "open"):
        told = [re.sub("NR|AR", lambda short: words[short[0]], what) for what in found[verdict]]
        if told:
            parts.append(f"{verdict}: {', '.join(told)}")
    return "; ".join(parts)
