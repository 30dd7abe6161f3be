"""Libraries that few tests need, imported when a test first uses them, so that collecting stays quick."""

from __future__ import annotations

from typing import Any

import pytest


class OnDemand:
    """A module of another library; a test that uses it is skipped where the library is missing."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pytest looks for marks on whatever a test file holds
            raise AttributeError(name)
        return getattr(pytest.importorskip(self._name), name)


CAPTUM = OnDemand("captum.attr")
