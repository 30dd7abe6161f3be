"""The table of situations in ``docs/reliability.md``."""

from __future__ import annotations

from pathlib import Path

from tests.odd_models import rows, written
from tests.odd_models.judging import METHODS, Situation, judged

__all__ = ["SITUATIONS", "line", "written_lines", "write"]

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
START, END = "<!-- odd models: python -m tests.odd_models -->", "<!-- end of odd models -->"
SITUATIONS: dict[str, Situation] = {s.name: s for s in (*rows.SITUATIONS, *written.SITUATIONS)}


def line(situation: Situation) -> str:
    """Return the row of a situation."""
    outcomes = judged(situation)
    kinds = {sign: [kind for kind in METHODS if outcomes.get(kind) == sign] for sign in ("right", "refused")}
    shown = {sign: "all" if len(found) == len(outcomes) else ", ".join(found) or "-" for sign, found in kinds.items()}
    return f"| {situation.name} | {shown['right']} | {shown['refused']} |"


def written_lines() -> list[str]:
    """Return the rows that the page has."""
    return PAGE.read_text().partition(START)[2].partition(END)[0].strip().splitlines()[2:]


def write() -> None:
    """Run all situations and write the table."""
    before, _, rest = PAGE.read_text().partition(START)
    after = rest.partition(END)[2]
    table = ["| situation | right | refused by name |", "|---|---|---|", *map(line, SITUATIONS.values())]
    PAGE.write_text("\n".join([before + START, "", *table, "", END + after]))
