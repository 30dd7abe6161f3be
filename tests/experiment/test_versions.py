"""What results are known by: another version of this package, or of a class that is not its own, computes again."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

import pnpxai
from pnpxai.experiment import Results, compare
from pnpxai.traits import Traits
from tests.small import Bright, pictures

QUIET: dict[str, Any] = {"traits": Traits.image(), "controls": False, "show_progress": False}


def test_another_version_computes_again_and_says_so(
    tmp_path: Path, net: Bright, rows: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def run() -> tuple[Results, int]:
        rows.clear()
        return compare(net, pictures(4), ["Gradient"], ["AbPC"], folder=tmp_path, **QUIET), sum(rows)

    first, cost = run()
    assert not caplog.records
    for version, told, computed in (("9.9", True, True), ("9.9", False, False), (pnpxai.__version__, False, False)):
        monkeypatch.setattr(pnpxai, "__version__", version)
        caplog.clear()
        found, again = run()
        assert (len(caplog.records) == 1) is told
        assert (again == cost) is computed
        assert again in (0, cost)
        assert found.table.equals(first.table)
        if told:
            assert "holds what version" in caplog.text
            assert "computed again by 9.9" in caplog.text


def test_a_class_that_was_changed_is_another(
    tmp_path: Path, net: Bright, rows: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def own(attributor: str) -> Any:
        path = tmp_path / f"{attributor}.py"
        path.write_text(
            f"from pnpxai.attributors import {attributor}\nfrom pnpxai.explainers.base import Explainer\n\n"
            f"class Own(Explainer):\n    def attributor(self):\n        return {attributor}(self.forward_func)\n"
        )
        spec = importlib.util.spec_from_file_location("own_module", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "own_module", module)
        spec.loader.exec_module(module)
        return module.Own

    values, computed = [], []
    for attributor in ("Saliency", "InputXGradient", "Saliency"):
        rows.clear()
        found = compare(net, pictures(4), [own(attributor)], ["Complexity"], folder=tmp_path / "run", **QUIET)
        values.append(found.values("Complexity", "Own").tolist())
        computed.append(sum(rows) > 0)
    assert values[0] == values[2] != values[1]
    assert computed == [True, True, False]
