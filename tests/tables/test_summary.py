"""Summaries of tables against attributions whose sums, interactions and cohorts are known."""

from __future__ import annotations

import sys
import types
import warnings

import numpy as np
import pandas as pd
import pytest
import torch

import pnpxai
from pnpxai.errors import ArgumentError, MissingExtraError
from pnpxai.explainers.results.explanation import Explanation
from pnpxai.explainers.results.table_columns import table_columns
from pnpxai.pictures import View
from pnpxai.statistics.intervals import student
from pnpxai.tables import TableSummary, from_shap, to_shap

ROWS = 400
VALUES = torch.randn(ROWS, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
NAMES = ("length", "width", "colour", "age")


def explained(maps, values=VALUES, **facts):
    views = (View("table", None, names=NAMES[: values.shape[1]], levels=facts.pop("levels", ())),)
    scores = maps.sum(1) + 1.5
    return Explanation(
        "ByHand", {}, (maps,), (values,), torch.zeros(len(maps), dtype=torch.long), scores, None, 0.0, views=views,
        **facts,
    )  # fmt: skip


@pytest.fixture
def summary():
    """The first column acts with the second, the third by its level, the fourth not at all."""
    values = VALUES.clone()
    values[:, 2] = torch.arange(ROWS) % 3
    worth = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)[values[:, 2].long()]
    maps = torch.stack([2 * values[:, 0] * values[:, 1], 0.1 * values[:, 1], worth, 0 * worth], 1)
    base = torch.full((ROWS,), 1.5, dtype=torch.float64)
    return TableSummary.of(explained(maps, values, levels=((2, ("red", "green", "blue")),), base_value=base))


def test_importance_is_the_mean_absolute_attribution_with_student_interval(summary):
    importance = summary.importance
    sizes = (2 * VALUES[:, 0] * VALUES[:, 1]).abs().numpy()
    assert importance.index[0] == "length"
    by_hand = student(sizes)
    assert importance.loc["length", ["mean |a|", "low", "high"]].tolist() == pytest.approx(
        [sizes.mean(), by_hand.low, by_hand.high]
    )
    assert importance.loc["colour", "mean |a|"] == pytest.approx(267 / 400, abs=0.01)
    assert importance.loc["age"].tolist() == [0, 0, 0, 0]
    assert "base value 1.5" in repr(summary)


def test_the_column_that_acts_together_with_another_is_named(summary):
    shares = summary.interactions("length")
    assert shares.index[0] == "width"
    assert shares["width"] > 0.9
    assert shares.drop("width").max() < 0.25
    assert summary.interactions("age").max() == 0  # nothing to explain


def test_a_category_may_be_the_partner():
    """Which of three levels counts is no line through their codes."""
    codes = torch.arange(ROWS) % 3
    values = torch.stack([VALUES[:, 0], VALUES[:, 1], codes.double()], 1)
    maps = torch.stack([(codes == 1) * values[:, 0], 0 * values[:, 0], 0 * values[:, 0]], 1)
    made = TableSummary.of(explained(maps + 0.5 * (codes == 1).double()[:, None], values, levels=((2, tuple("abc")),)))
    assert made.interactions("length").index[0] == "colour"
    assert made.interactions("length")["colour"] > 0.9


def test_cohorts_are_levels_halves_or_labels(summary):
    by_level = summary.cohorts("colour")
    assert by_level["colour"].to_dict() == {"colour = red": 1, "colour = green": 0, "colour = blue": 1}
    assert by_level["rows"].tolist() == [134, 133, 133]
    halves = summary.cohorts("width")
    assert halves["rows"].tolist() == [200, 200]
    own = summary.cohorts(["old"] * 100 + ["new"] * 300)
    width = (0.1 * VALUES[:, 1]).abs()
    assert own.loc["old", "width"] == pytest.approx(float(width[:100].mean()))
    with pytest.raises(ArgumentError, match="expected one label for each of 400 rows, got 1"):
        summary.cohorts(["old"])


def test_agreement_is_the_rank_correlation_of_each_column(summary):
    maps = torch.from_numpy(summary.columns.attributions.copy())
    maps[:, 0] = -(maps[:, 0] ** 3)
    other = TableSummary.of(explained(maps, torch.from_numpy(summary.columns.values)))
    agreement = summary.agreement(other)
    assert agreement[["length", "width", "colour"]].tolist() == pytest.approx([-1, 1, 1])
    assert np.isnan(agreement["age"])
    with pytest.raises(ArgumentError, match="expected a summary of the same 400 rows"):
        summary.agreement(TableSummary.of(explained(maps[:5], VALUES[:5])))


def test_columns_of_one_group_count_once():
    maps = torch.tensor([[1.0, 4.0, 4.0], [2.0, 5.0, 5.0]])
    values = torch.tensor([[0.3, 1.0, 0.0], [0.4, 0.0, 1.0]])
    explanation = explained(maps, values, feature_mask=(torch.tensor([[0, 1, 1], [0, 1, 1]]),))
    columns = table_columns(explanation)
    assert columns.names == ("length", "width + colour")
    assert columns.attributions.tolist() == [[1, 4], [2, 5]]
    assert columns.values[:, 1].tolist() == [0, 1]
    one_hot = table_columns(
        Explanation(
            "ByHand",
            {},
            (maps,),
            (values,),
            None,
            maps.sum(1),
            None,
            0.0,
            feature_mask=explanation.feature_mask,
            views=(View("table", None, names=("age", "colour=red", "colour=blue")),),
        )  # fmt: skip
    )
    assert one_hot.names == ("age", "colour")
    assert one_hot.levels == ((), ("red", "blue"))


@pytest.mark.parametrize("style", ["bars", "beeswarm", "dependence", "cohorts", "heat map"])
def test_every_style_draws_its_data(summary, style):
    drawn = summary.plot(style, column="colour" if style == "dependence" else None)
    assert drawn._repr_png_().startswith(b"\x89PNG")
    axes = drawn.axes[0]
    if style == "beeswarm":
        dots = axes.collections[0].get_offsets()
        assert np.allclose(dots[:, 0], summary.columns.attributions[:, 0])
    if style == "dependence":
        assert np.allclose(axes.collections[0].get_offsets()[:, 1], summary.columns.attributions[:, 2])
        assert [label.get_text() for label in axes.get_xticklabels()] == ["red", "green", "blue"]
    if style == "bars":
        assert axes.patches[0].get_width() == pytest.approx(summary.importance["mean |a|"].iloc[0])


def test_a_summary_is_one_file(summary, tmp_path):
    page = summary.write(tmp_path / "new" / "summary.html").read_text()
    assert page.count("<img") == 5
    assert "length" in page
    with pytest.raises(ArgumentError, match="path: expected a file such as"):
        summary.write(tmp_path)


def test_wrong_words_are_refused(summary):
    with pytest.raises(ArgumentError, match=r"no column 'lenght'; did you mean 'length'\?"):
        summary.plot("dependence", column="lenght")
    with pytest.raises(ArgumentError, match="style: expected 'bars', 'beeswarm'"):
        summary.plot("violin")
    maps = VALUES.clone()
    maps[3, 0] = torch.nan
    with pytest.raises(ArgumentError, match="1 of 400 rows have attributions that are no numbers"):
        TableSummary.of(explained(maps))
    x = torch.randn(2, 3, 8, 8)
    pictures = Explanation("ByHand", {}, (x,), (x,), None, torch.zeros(2), None, 0.0)
    with pytest.raises(ArgumentError, match="expected rows of a table"):
        TableSummary.of(pictures)


class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.0, -1.0]]))

    def forward(self, x):
        return x @ self.weight.T


def test_the_front_door_summarises_one_output_for_all_rows():
    frame = pd.DataFrame(torch.randn(50, 3).numpy(), columns=["a", "b", "c"])
    auto = pnpxai.auto_explain(Linear(), frame, class_names=["no", "yes"])
    made = auto.summary(rows=None)
    assert (len(made), made.target, made.explainer) == (50, "yes", "IntegratedGradients")
    weight = np.array([3.0, 0.0, -1.0])
    assert np.allclose(made.columns.attributions, weight * (frame - frame.mean()).to_numpy(), atol=1e-5)
    first = auto.summary("FeatureAblation", rows=10, target=0)
    assert (len(first), first.target) == (10, "no")
    assert np.allclose(first.columns.attributions, [1, -2, 0.5] * (frame - frame.mean()).to_numpy()[:10], atol=1e-5)


class ShapExplanation:
    """Keeps what shap's own class keeps, where that library is not installed."""

    def __init__(self, values, base_values=None, data=None, display_data=None, feature_names=None):
        self.values, self.base_values, self.data = values, base_values, data
        self.display_data, self.feature_names = display_data, feature_names


@pytest.fixture
def shap(monkeypatch):
    try:
        with warnings.catch_warnings(action="ignore"):
            import shap
    except ImportError:
        shap = types.SimpleNamespace(Explanation=ShapExplanation)
        monkeypatch.setitem(sys.modules, "shap", shap)
    return shap


def test_explanations_go_to_shap_and_come_back(shap):
    values = VALUES.clone()
    values[:, 2] = torch.arange(ROWS) % 3
    explanation = explained(VALUES * 2, values, levels=((2, ("red", "green", "blue")),))
    theirs = to_shap(explanation)
    assert list(theirs.feature_names) == list(NAMES)
    assert np.allclose(theirs.base_values + theirs.values.sum(1), explanation.scores)
    assert list(theirs.display_data[:3, 2]) == ["red", "green", "blue"]
    back = from_shap(theirs)
    assert torch.equal(back.attributions[0], explanation.attributions[0])
    assert torch.allclose(back.scores, explanation.scores)
    assert TableSummary.of(back).importance.equals(TableSummary.of(explanation).importance)
    several = types.SimpleNamespace(values=np.zeros((2, 3, 2)), base_values=np.zeros(2), data=np.zeros((2, 3)))
    with pytest.raises(ArgumentError, match=r"choose one output, such as values\[\.\.\., 1\]"):
        from_shap(several)


def test_without_shap_it_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(MissingExtraError, match="pip install shap"):
        to_shap(explained(VALUES))
