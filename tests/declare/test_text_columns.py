"""Tables and paragraphs fit a terminal, and nothing in them is lost."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pnpxai.declare.text_columns import filled, in_columns

TEXTS = st.text("abcDE (-.,", max_size=60)

ROWS = {
    "explainer": ["Occlusion", "SmoothGrad (n_iter=10, noise_level=0.15, baseline=zeros)"],
    "verdict": ["best", "does not beat InputOnly and RandomMap"],
    "FaithfulnessCorrelation (+)": ["0.990 [0.988, 0.992]", "nan"],
    "seconds": [0.017, 12],
}


def test_what_fits_stands_in_one_table() -> None:
    small = {"explainer": ["A", "Bcd"], "AbPC": [0.5, "-1"], "": ["", "x"]}
    assert in_columns(small) == "explainer  AbPC\nA          0.5\nBcd        -1    x"


def test_what_finds_no_room_comes_below_beside_the_first_column() -> None:
    assert in_columns(ROWS).splitlines() == [
        "explainer                          verdict",
        "Occlusion                          best",
        "SmoothGrad (n_iter=10,             does not beat InputOnly and RandomMap",
        "noise_level=0.15, baseline=zeros)",
        "",
        "explainer                          Faithfulness          seconds",
        "                                   Correlation (+)",
        "Occlusion                          0.990 [0.988, 0.992]  0.017",
        "SmoothGrad (n_iter=10,             nan                   12",
        "noise_level=0.15, baseline=zeros)",
    ]


@given(st.dictionaries(TEXTS, st.lists(TEXTS, min_size=3, max_size=3), min_size=1, max_size=9))
def test_every_cell_is_there_and_every_line_fits(table: dict[str, list[str]]) -> None:
    text = in_columns(table)
    assert max(map(len, text.splitlines()), default=0) <= 80
    letters = Counter("".join(text.split()))
    for cells in table.items():
        wanted = Counter("".join("".join([cells[0], *cells[1]]).split()))
        assert not wanted - letters


def test_paragraphs_break_between_words() -> None:
    text = "SmoothGrad ranks first, but cannot be told apart from " + ", ".join(["Layer-GradCam"] * 9)
    lines = filled(text).splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(lines) == text
    assert filled("short") == "short"
    assert filled("x" * 99) == "x" * 99
