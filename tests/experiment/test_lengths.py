"""Examples of different lengths: what one does not have is no position that maps agree on, nor one that is drawn."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import pnpxai
from pnpxai.attributors.base import Attributor
from pnpxai.errors import UnsuitableError
from pnpxai.experiment import Results
from pnpxai.explainers.base import Explainer
from pnpxai.report import write_report
from pnpxai.report.maps import gallery
from tests.auto.models import Words

TEXTS = ["abcdefgfed", "gabc", "fbdga", "defgabc", "ca", "gecab"]
LENGTHS = list(map(len, TEXTS))
LABELS = ["GradientXInput", "Occlusion", "IntegratedGradients"]


class Reader(nn.Module):
    """Pools what it reads at positions that are no padding."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(9, 6)
        self.mix = nn.Conv1d(6, 8, 3, padding=1)
        self.head = nn.Linear(8, 3)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        seen = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        tokens = self.mix((self.embedding(input_ids) * seen[..., None]).mT).sigmoid() * seen[:, None]
        return self.head(tokens.sum(2) / seen.sum(1, keepdim=True))


def given(form: str) -> Any:
    """Return the texts padded together, in batches of several lengths, or one by one."""
    read = Words()
    if form == "padded":
        return TEXTS
    size = 2 if form == "batches" else 1
    parts = [read(TEXTS[k : k + size], "pt", True, True) for k in range(0, len(TEXTS), size)]
    return parts if form == "batches" else [(part["input_ids"], torch.zeros(1)) for part in parts]


def expected(auto: pnpxai.AutoExplanation, first: str, second: str) -> float:
    """Return the mean of scipy's correlations between maps of each text alone."""
    found = []
    for text in TEXTS:
        alone = pnpxai.auto_explain(auto.model, [text], tokenizer=Words())
        maps = [alone.explain(label, count=1).attributions[0].reshape(1, len(text), -1) for label in (first, second)]  # type: ignore[union-attr]
        one, other = (m[0].sum(-1).numpy() for m in maps)
        if len(text) >= 3:
            found.append(float(stats.spearmanr(one, other).statistic))
    return float(np.mean(found))


@pytest.mark.parametrize("form", ["padded", "batches", "one by one"])
def test_agreement_is_over_what_each_text_has(form: str, tmp_path: Path) -> None:
    auto = pnpxai.auto_explain(Reader().eval().double(), given(form), tokenizer=Words())
    results = auto.compare(LABELS, ["AbPC"], folder=tmp_path, controls=False, show_progress=False)
    for values in results.maps.values():
        assert [int(m.isfinite().sum()) for m in values] == LENGTHS
    for read in (results, Results.load(tmp_path)):
        agreement: Any = read.agreement()
        for first, second in zip(LABELS, LABELS[1:], strict=False):
            assert agreement.loc[first, second] == pytest.approx(expected(auto, first, second), abs=1e-9)
    assert results.inputs.dtype == torch.long
    again = auto.compare(LABELS, ["AbPC"], folder=tmp_path, controls=False, show_progress=False)
    assert all(torch.equal(values.isnan(), again.maps[label].isnan()) for label, values in results.maps.items())
    assert all(
        torch.equal(values.nan_to_num(), again.maps[label].nan_to_num()) for label, values in results.maps.items()
    )


@pytest.mark.parametrize("tokenizer", [Words(), None])
def test_a_report_draws_texts_of_different_lengths(tokenizer: Words | None, tmp_path: Path) -> None:
    auto = pnpxai.auto_explain(Reader().eval(), given("batches"), tokenizer=tokenizer)
    results = auto.compare(LABELS, ["AbPC"], show_progress=False)
    shown = gallery(results)
    assert shown is not None
    for one, length in zip(shown.shown, LENGTHS, strict=True):
        assert all(str(tile.drawn).count("<b ") == length for row in one.rows for tile in row.tiles)
    page = write_report(results, tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"\bnan\b", page, re.IGNORECASE)


def series() -> pnpxai.AutoExplanation:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    return pnpxai.auto_explain(model, [torch.randn(2, 2, length) for length in (30, 20, 12)])


def test_a_report_draws_series_of_different_lengths(tmp_path: Path) -> None:
    results = series().compare(["GradientXInput", "Occlusion"], ["AbPC"], show_progress=False)
    lengths = [30, 30, 20, 20, 12, 12]
    for values in (results.inputs, *results.maps.values()):
        assert values.shape == (6, 2, 30)
        assert [int(m[0].isfinite().sum()) for m in values] == lengths
    one, other = (results.maps[label].double() for label in ("GradientXInput", "Occlusion"))
    alone = [
        stats.spearmanr(a[:, :n].flatten(), b[:, :n].flatten()).statistic
        for a, b, n in zip(one, other, lengths, strict=True)
    ]
    agreement: Any = results.agreement()
    assert agreement.loc["GradientXInput", "Occlusion"] == pytest.approx(np.mean(alone))
    shown = gallery(results)
    assert shown is not None
    for example, length in zip(shown.shown, lengths, strict=True):
        assert all(tile.alt.endswith(f"of {length}") for tile in example.rows[0].tiles)
    assert write_report(results, tmp_path / "report.html").is_file()


class Short(Explainer):
    """Refuses long series."""

    def attributor(self) -> Attributor:
        return Cubes()


class Cubes(Attributor):
    def __init__(self) -> None:
        super().__init__(lambda x: x)

    def attribute(self, inputs: Any, **arguments: Any) -> Any:
        if inputs[0].shape[-1] == 30:
            raise UnsuitableError("Short: too long")
        return (inputs[0] ** 3,)


def test_without_a_map_of_the_longest_the_others_are_compared() -> None:
    results = series().compare(["GradientXInput", Short], ["AbPC"], controls=False, show_progress=False)
    assert results.maps["Short"].shape == results.maps["GradientXInput"].shape == (6, 2, 30)
    assert results.maps["Short"].isfinite().sum((1, 2)).tolist() == [0, 0, 40, 40, 24, 24]
    one, other = (results.maps[label].double() for label in ("GradientXInput", "Short"))
    shorter = zip(range(2, 6), (20, 20, 12, 12), strict=True)
    alone = [stats.spearmanr(one[k, :, :n].flatten(), other[k, :, :n].flatten()).statistic for k, n in shorter]
    agreement: Any = results.agreement()
    assert agreement.loc["GradientXInput", "Short"] == pytest.approx(np.mean(alone))
