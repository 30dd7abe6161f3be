"""A reader of the architecture page finds the file for a question at the first try; what the page names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.partition("## Where to find what")[2].partition("\n## ")[0].splitlines()
    if line.startswith("|") and line.count("|") == 4
][2:]

QUESTIONS = {
    "relevance softmax": ("attributors/propagation/relevance/softmax.py", "class Softmax"),
    "trials pruned": ("tuning/trials/pruning.py", "[Ww]ilcoxon"),
    "run folder keys": ("experiment/storage/keys.py", "def "),
    "rows together pass memory": ("engine/running/batching.py", "OutOfMemory|out of memory"),
    "LSTM apart": ("engine/seeing/cells.py", "lstm"),
    "model one number example": ("engine/running/score.py", "class Score"),
    "settings JSON": ("declare/encoding.py", "def encoded"),
    "Shapley estimated": ("attributors/perturbation/shapley.py", "class ShapleyValues"),
    "words verdict": ("statistics/decision.py", "class .*DecisionRule"),
    "16-bit picture tensor": ("auto/picture_scaling.py", "16"),
}
"""The words of a question that a newcomer asks -> the one file that answers it, and what stands there."""


@pytest.mark.parametrize("words", QUESTIONS)
def test_a_question_leads_to_its_file(words):
    file, content = QUESTIONS[words]
    rows = [row for row in ROWS if all(word.lower() in row[1].lower() for word in words.split())]
    assert len(rows) == 1, f"{words}: {[row[1] for row in rows]}"
    assert file in rows[0][2]
    assert re.search(content, (ROOT / "pnpxai" / file).read_text())


def test_every_file_that_the_docs_name_is_there():
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for path in re.findall(r"`(?:pnpxai/)?((?:[a-z_]+/)+[a-z_]+\.py)", page.read_text()):
            assert (ROOT / "pnpxai" / path).exists() or (ROOT / path).exists(), f"{page.name}: {path}"


def test_every_room_has_its_row():
    rooms = {str(path.parent.relative_to(ROOT / "pnpxai")) for path in (ROOT / "pnpxai").rglob("__init__.py")} - {
        ".",
        "",
    }
    outside = {"cli", "recommender", "pictures", "testing", "truth"}  # the table of floors says what they hold
    named = {row[0].strip("`/") for row in ROWS} | outside
    for room in sorted(rooms):
        assert room in named or room.rpartition("/")[0] in named, f"the page does not say what {room}/ is for"
