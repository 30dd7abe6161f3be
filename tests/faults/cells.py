"""Names of tests that catch many faults."""

from __future__ import annotations

__all__ = ["GUARD", "cell"]

GUARD = "tests/engine/running/test_guard.py::test_everything_is_given_back"


def cell(explainer: str, case: str) -> str:
    """Return the cell of an explainer on an architecture."""
    return f"tests/explainers/test_sweep.py::test_cell[{explainer}-{case}]"
