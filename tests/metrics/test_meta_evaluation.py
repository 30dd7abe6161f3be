"""What the meta-evaluation measures, by hand; and that the docs say what it found, of all metrics there are."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy.stats import wilcoxon

from pnpxai.declare.registry import every
from pnpxai.metrics.base import Metric

ROOT = Path(__file__).parents[2]
METRICS = every(Metric, within="pnpxai.")


def _module(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"shown_{Path(path).parent.name}", ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


meta, page = _module("benchmarks/meta_evaluation.py"), _module("docs/hooks/meta_evaluation.py")
DATA = json.loads(page.MEASURED.read_text())
BEFORE = np.array([[3.0, 2, 5, 1, 4, 6], [1.0, 4, 3, 2, 6, 5]])


def test_values_that_stay_are_wholly_consistent() -> None:
    assert meta.consistency(BEFORE, BEFORE.copy(), minor=True) == (1.0, 1.0)
    assert meta.consistency(BEFORE, BEFORE.copy(), minor=False) == (0.0, 0.0)


def test_values_that_get_worse_are_reactive() -> None:
    alike, worse = meta.consistency(BEFORE, BEFORE - 10, minor=False)
    assert worse == 1.0
    p = wilcoxon(BEFORE[0], BEFORE[0] - 10, method="approx").pvalue
    assert alike == pytest.approx(1 - p)
    assert meta.consistency(BEFORE, BEFORE + 10, minor=False) == (pytest.approx(1 - p), 0.0)


def test_ranks_count_by_example() -> None:
    after = BEFORE.copy()
    after[:, 0] = after[::-1, 0]  # of one example in six the two change places
    _, kept = meta.consistency(BEFORE, after, minor=True)
    assert kept == pytest.approx(5 / 6)
    tied = BEFORE.copy()
    tied[1] = tied[0]
    assert meta.consistency(tied, tied.copy(), minor=True)[1] == 1.0


def test_undefined_values_do_not_count() -> None:
    holed = BEFORE.copy()
    holed[0, 2] = np.nan
    assert meta.consistency(holed, BEFORE - 10, minor=False)[1] == 1.0
    assert meta.consistency(BEFORE, holed, minor=True)[1] == 1.0


def test_a_verdict_needs_the_whole_interval() -> None:
    def found(*reactive: float) -> dict[str, list[str]]:
        rows = [{"inputs": [1, 1, 1, share, 1], "model": [1, 1, 1, 1, 1]} for share in reactive]
        return meta.summary(rows)

    assert found(0.1, 0.12, 0.09)["fails"] == ["AR (inputs)"]
    for shares in ((0.4, 0.5, 0.55), (0.5, 0.9)):
        assert (found(*shares)["fails"], found(*shares)["open"]) == ([], ["AR (inputs)"])
    assert (found(0.8, 0.81, 0.82)["fails"], found(0.8, 0.81, 0.82)["open"]) == ([], [])
    assert found(0.1)["fails"] == []  # of a single seed nothing is known
    assert len(found(0.1)["open"]) == 4
    mean, low, high = meta.interval([0.4, 0.5, 0.6])
    assert (mean, high - mean) == (0.5, pytest.approx(4.303 * 0.1 / 3**0.5, abs=1e-3))
    assert low == pytest.approx(1 - high)


def test_perturbed_inputs_stay_in_range_and_are_as_far_as_they_should() -> None:
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(7))
    clean = meta.Problem(torch.nn.Flatten(), x, torch.zeros(4), x[:, 0] > 0.5)
    for size in (0.001, 1.0):
        other = clean.perturbed("inputs", size, 0).x
        assert 0 <= other.min() <= other.max() <= 1
        assert 0.9 * size < (other - x).abs().max() <= size * 1.001
        assert ((other - x) < 0).any()
        assert ((other - x) > 0).any()


def test_the_docs_are_of_all_metrics_and_say_which_fail() -> None:
    hint = "run python benchmarks/meta_evaluation.py --write docs/meta_evaluation.json"
    assert set(DATA["metrics"]) == {m.__name__ for m in METRICS}, hint
    for metric in METRICS:
        says = "ails its meta-evaluation" in " ".join(str(metric.__doc__).split())
        assert says == bool(DATA["metrics"][metric.__name__]["fails"]), metric.__name__


def test_the_marks_are_filled_in() -> None:
    text = page.on_page_markdown((ROOT / "docs/metrics.md").read_text())
    assert "<!-- meta" not in text
    assert DATA["made"] in text
    assert page.on_page_markdown("no marks") == "no marks"
    for name, found in DATA["metrics"].items():
        (row,) = (line for line in text.splitlines() if line.startswith((f"| `{name}` | 0", f"| `{name}` | 1")))
        assert ("fails" in row) == bool(found["fails"])
