"""A table with every value, a verdict, and a folder to come back to."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pnpxai.attributors.base import Attributor
from pnpxai.errors import ArgumentError, UnsuitableError
from pnpxai.experiment import Results, compare
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.gradient.saliency import Gradient, GradientXInput
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad
from pnpxai.metrics.faithfulness.flipping import AbPC
from pnpxai.report import write_report
from pnpxai.statistics import MeanRank
from pnpxai.traits import Traits
from pnpxai.tuning import tune
from tests.small import Bright, examples

IMAGE = Traits.image()


@pytest.fixture(scope="module")
def net() -> Bright:
    return Bright()


@pytest.fixture(scope="module")
def results(net: Bright) -> Results:
    return compare(net, examples(net), ["GradientXInput", "VarGrad"], traits=IMAGE, show_progress=False)


def test_the_table_holds_every_value(net: Bright, results: Results) -> None:
    table = results.table
    assert len(table) == 16 * 4 * 4
    assert set(table.explainer) == {"GradientXInput", "VarGrad", "RandomMap", "InputOnly"}
    direct = AbPC(net).evaluate(
        *(examples(net).batches[1].inputs, examples(net).batches[1].targets),
        GradientXInput(net).attribute(examples(net).batches[1].inputs, examples(net).batches[1].targets),
    )
    assert results.values("AbPC", "GradientXInput")[8:].tolist() == pytest.approx(direct.tolist())
    assert (table[table.value.isna()].reason.notna()).all()


def test_values_do_not_depend_on_batches(net: Bright, results: Results) -> None:
    other = compare(net, examples(net, size=3), ["GradientXInput", "VarGrad"], traits=IMAGE, show_progress=False)
    for metric in results.metrics:
        for label in results.explainers:
            assert np.allclose(results.values(metric, label), other.values(metric, label), atol=1e-4, equal_nan=True)


def test_the_same_seed_gives_the_same_table(net: Bright, results: Results) -> None:
    again = compare(net, examples(net), ["GradientXInput", "VarGrad"], traits=IMAGE, show_progress=False)
    assert again.table.equals(results.table)
    other = compare(net, examples(net), ["GradientXInput", "VarGrad"], traits=IMAGE, seed=1, show_progress=False)
    assert not other.table.equals(results.table)


def test_the_verdict_names_the_right_explainer(results: Results) -> None:
    assert results.decision.best == "GradientXInput"
    assert results.explainers[0] == "GradientXInput"
    text = str(results)
    said = "GradientXInput ranks first by MultiScaleCorrelation and by what did well on image problems"
    assert " ".join(text.split()).startswith(said)
    assert "this model and these 16 examples" in text
    assert max(map(len, text.splitlines())) <= 80
    for row in results.summary().to_dict("records"):
        assert all(str(cell) in text for cell in row.values())
    for metric, sign in {"AbPC": "+", "Sensitivity": "-", "Complexity": "-"}.items():
        assert f"{metric} ({sign})" in text


def test_a_run_is_saved_whole_and_read_back(tmp_path, results: Results) -> None:  # noqa: ANN001
    folder = results.save(tmp_path / "run")
    assert sorted(p.name for p in folder.iterdir()) == ["maps.safetensors", "run.json", "values.parquet"]
    read = Results.load(folder)
    assert read.table.equals(results.table)
    assert read.decision == results.decision
    assert all(torch.equal(read.maps[label], maps) for label, maps in results.maps.items())
    assert json.loads((folder / "run.json").read_text())["facts"]["seed"] == 0
    with pytest.raises(ArgumentError, match="no complete run"):
        Results.load(tmp_path)


def test_explainers_come_by_name_class_object_or_tuning(net: Bright) -> None:
    tuned = tune(SmoothGrad(net), examples(net), AbPC(net), n_trials=2, traits=IMAGE, show_progress=False)
    found = compare(
        net, examples(net), ["Gradient", GradientXInput, SmoothGrad(net, n_iter=10), SmoothGrad(net), tuned],
        ["AbPC"], traits=IMAGE, controls=False, show_progress=False,
    )  # fmt: skip
    assert set(found.settings) == {
        "Gradient", "GradientXInput", "SmoothGrad (n_iter=10)", "SmoothGrad (n_iter=20)", "SmoothGrad (tuned)",
    }  # fmt: skip
    assert found.tuned[0]["label"] == "SmoothGrad"


def test_a_metric_may_be_given_with_several_settings(net: Bright, tmp_path: Path) -> None:
    both = [AbPC(net, n_steps=5), AbPC(net, n_steps=16), "Complexity"]
    found = compare(net, examples(net), ["Gradient"], both, traits=IMAGE, folder=tmp_path, show_progress=False)
    assert found.metrics == ["AbPC (n_steps=5)", "AbPC (n_steps=16)", "Complexity"]
    for n_steps in (5, 16):
        alone = compare(
            net, examples(net), ["Gradient"], [AbPC(net, n_steps=n_steps)], traits=IMAGE, show_progress=False
        )
        label = f"AbPC (n_steps={n_steps})"
        assert found.values(label, "Gradient").tolist() == alone.values("AbPC", "Gradient").tolist()
        assert found.curves[label] == alone.curves["AbPC"]
    assert len(found.statistics()) == 3 * len(found.settings)
    assert (
        found.decision
        == compare(  # Complexity takes no part: AbPC is named by the rule, whatever its settings
            net, examples(net), ["Gradient"], both[:2], traits=IMAGE, show_progress=False
        ).decision
    )
    assert Results.load(tmp_path).table.equals(found.table)
    text = write_report(found, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "AbPC (n_steps=16)" in text
    with pytest.raises(ArgumentError, match="metrics: AbPC is given twice with the same settings"):
        compare(net, examples(net), ["Gradient"], ["AbPC", AbPC(net)], traits=IMAGE)


def test_one_failing_explainer_is_recorded_not_fatal(net: Bright) -> None:
    class Half(Explainer):
        def attributor(self) -> Attributor:
            raise UnsuitableError("Half: not today")

    found = compare(net, examples(net), [Half, Gradient], ["AbPC"], traits=IMAGE, show_progress=False)
    rows = found.table[found.table.explainer == "Half"]
    assert rows.value.isna().all()
    assert set(rows.reason) == {"Half: not today"}
    assert found.decision.best == "Gradient"


def test_wrong_names_are_refused(net: Bright) -> None:
    with pytest.raises(ArgumentError, match="no explainer 'SmothGrad'; did you mean 'SmoothGrad'"):
        compare(net, examples(net), ["SmothGrad"], traits=IMAGE)
    with pytest.raises(ArgumentError, match="no metric 'ABPC'; did you mean 'AbPC'"):
        compare(net, examples(net), ["Gradient"], ["ABPC"], traits=IMAGE)
    with pytest.raises(ArgumentError, match="given twice"):
        compare(net, examples(net), [Gradient, "Gradient"], traits=IMAGE)
    with pytest.raises(ArgumentError, match="expected at least one, got none"):
        compare(net, examples(net), [], traits=IMAGE, controls=False)


def test_maps_stay_with_their_examples_when_a_batch_is_refused(net: Bright) -> None:
    class Picky(Explainer):
        def attributor(self) -> Attributor:
            return _Refuses()

    class _Refuses(Attributor):
        def __init__(self) -> None:
            super().__init__(lambda x: x)

        def attribute(self, inputs, **arguments):  # noqa: ANN001, ANN202
            if torch.equal(inputs[0][0], examples(net).batches[0].inputs[0]):
                raise UnsuitableError("Picky: not the first batch")
            return inputs[0]

    found = compare(net, examples(net), [Picky, Gradient], ["AbPC"], traits=IMAGE, controls=False, show_progress=False)
    maps = found.maps["Picky"]
    assert maps[:8].isnan().all()
    assert torch.equal(maps[8:], found.inputs[8:, 0])


def test_a_run_remembers_its_rule(tmp_path, net: Bright) -> None:  # noqa: ANN001
    rule = MeanRank(metrics=("Complexity",))
    found = compare(
        net,
        examples(net),
        ["Gradient", "VarGrad"],
        ["AbPC", "Complexity"],
        traits=IMAGE,
        rule=rule,
        show_progress=False,
    )
    assert Results.load(found.save(tmp_path)).decision == found.decision


def test_the_data_may_be_named(net: Bright, results: Results) -> None:
    named = compare(net, examples(net), ["GradientXInput", "VarGrad"], traits="image", show_progress=False)
    assert named.table.equals(results.table)
    with pytest.raises(ArgumentError, match="traits: expected what the data is, such as 'image'"):
        compare(net, examples(net), ["Gradient"], traits=None, show_progress=False)


def test_explainers_and_metrics_are_told_the_axis_of_channels() -> None:
    class LastStep(torch.nn.Module):
        """Gives the first channel of a series (examples, time, channels) at its last step."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, -1, :1].repeat(1, 2)

    x = torch.rand(6, 5, 3, generator=torch.Generator().manual_seed(0))
    found = compare(
        LastStep(), x, ["FeatureAblation"], ["AbPC"], traits=Traits.series(-1), controls=False, show_progress=False
    )
    assert found.settings["FeatureAblation"]["explainer"]["channel_dim"] == -1
    assert np.isfinite(found.values("AbPC", "FeatureAblation")).all()
