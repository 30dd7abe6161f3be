"""The public face: data as people have it, every choice by name."""

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import pnpxai
from pnpxai import AutoExplanationForImageClassification as Auto
from pnpxai.errors import ArgumentError
from tests.small import Bright, pictures

X, Y = pictures(20), torch.arange(20) % 2


@pytest.mark.parametrize(
    "data",
    [
        DataLoader(TensorDataset(X, Y), batch_size=6),
        TensorDataset(X, Y),
        (X, Y),
        (X.numpy(), Y.numpy()),
        [(X[:5], Y[:5]), (X[5:], Y[5:])],
    ],
    ids=["loader", "dataset", "tensors", "arrays", "batches"],
)
def test_data_comes_in_every_usual_form(data: object) -> None:
    auto = Auto(Bright(), data)  # type: ignore[arg-type]
    found = auto.examples()
    assert len(found) == 20
    assert torch.equal(torch.cat([b.inputs for b in found]), X)
    assert torch.equal(torch.cat([b.labels for b in found]), Y)
    with torch.no_grad():
        assert torch.equal(torch.cat([b.targets for b in found]), Bright()(X).argmax(1))


def test_inputs_alone_are_enough() -> None:
    for data in (X, X.numpy()):
        assert Auto(Bright(), data).examples(7).batches[0].labels is None


def test_extractors_and_labels_as_targets() -> None:
    batches = [{"image": X, "digit": Y}]
    auto = Auto(Bright(), batches, lambda b: b["image"], lambda b: b["digit"], lambda output: output.argmin(-1))
    with torch.no_grad():
        assert torch.equal(auto.examples().batches[0].targets, Bright()(X).argmin(1))
    labelled = Auto(Bright(), (X, Y), target_labels=True)
    assert torch.equal(torch.cat([b.targets for b in labelled.examples()]), Y)
    with pytest.raises(ArgumentError, match="the data holds no labels"):
        Auto(Bright(), X, target_labels=True).examples()


def test_only_as_much_data_is_read_as_is_asked_for() -> None:
    read = []

    class Counting(list):
        def __iter__(self):  # noqa: ANN204
            for k in range(5):
                read.append(k)
                yield X[4 * k : 4 * k + 4], Y[:4]

    auto = Auto(Bright(), Counting())
    assert len(auto.examples(6)) == 6
    assert read == [0, 1]
    assert len(auto.examples(5)) == 5
    assert read == [0, 1]
    assert len(auto.examples()) == 20


def test_five_lines_give_an_answer(tmp_path) -> None:  # noqa: ANN001
    auto = Auto(Bright(), (X, Y))
    assert "GradientXInput" in str(auto.recommended)
    tuned = auto.tune("SmoothGrad", n_trials=2, show_progress=False)
    assert auto.explain(tuned, count=2).postprocessor == tuned.postprocessor
    results = auto.compare([tuned, "GradientXInput"], show_progress=False)
    report = pnpxai.write_report(results, tmp_path / "report.html")
    assert results.decision.sentence() in report.read_text()


def test_several_explainers_are_searched_and_go_on_where_a_storage_holds_them(tmp_path) -> None:  # noqa: ANN001
    auto = Auto(Bright(), (X, Y))
    asked = {"count": 6, "storage": tmp_path / "study.db", "show_progress": False}
    found = auto.tune(["SmoothGrad", "Gradient"], "AbPC", n_trials=3, **asked)
    again = auto.tune(["SmoothGrad", "Gradient"], "AbPC", n_trials=3, **asked)
    assert found.trials == again.trials == 3
    assert again.value == found.value
    assert found.best.label in ("SmoothGrad", "Gradient")
    front = auto.tune("SmoothGrad", ["AbPC", "Complexity"], n_trials=3, count=6, show_progress=False).front
    assert all(len(values) == 2 for _, values in front)
    assert front


def test_explaining_by_name_and_all_at_once() -> None:
    auto = Auto(Bright(), (X, Y))
    one = auto.explain("IntegratedGradients", count=3)
    assert one.attributions[0].shape == (3, 1, 8, 8)
    assert one.gap is not None
    assert one.gap.abs().max() < 1e-5
    assert "IntegratedGradients" in str(one)
    chosen = auto.explain("Gradient", numbers=[2, 5])
    assert torch.equal(chosen.inputs[0], X[[2, 5]])
    split = Auto(Bright(), DataLoader(TensorDataset(X, Y), batch_size=3)).explain("SmoothGrad", count=8)
    assert torch.allclose(split.attributions[0], auto.explain("SmoothGrad", count=8).attributions[0], atol=1e-5)
    every = auto.explain(count=2)
    assert {c.__name__ for c in auto.recommended if c.__module__.startswith("pnpxai.")} <= set(every)
    with pytest.raises(ArgumentError, match="did you mean 'Occlusion'"):
        auto.explain("Oclusion")


def test_ranking_by_one_call() -> None:
    ranking = Auto(Bright(), (X, Y)).rank(["GradientXInput", "Gradient"], n_trials=2, show_progress=False)
    assert ranking.decision.best is not None


def test_wrong_data_and_models_are_refused() -> None:
    with pytest.raises(ArgumentError, match="data: expected a DataLoader"):
        Auto(Bright(), 3)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="model: expected a model"):
        Auto("model", X)  # type: ignore[arg-type]


def test_public_names_exist_and_load_lazily() -> None:
    for name in pnpxai.__all__:
        assert getattr(pnpxai, name) is not None
    assert set(pnpxai.__all__) <= set(dir(pnpxai))
    with pytest.raises(AttributeError, match="no attribute 'Autoexplain'"):
        _ = pnpxai.Autoexplain


def test_what_is_shared_is_told_with_short_numbers() -> None:
    display = pnpxai.Display(mean=torch.tensor([0.3]), std=torch.tensor([0.7]))  # single precision, read as double
    auto = pnpxai.auto_explain(Bright(), X, display=display, settings={"baseline_fn": 0.30000001192092896})
    assert auto.settings["low"] != -3 / 7
    assert auto.assumed[-1] == ("explainers and metrics share: channel_dim=1, low=-0.428571, high=1.0, baseline_fn=0.3")
    assert auto.assumed[-1] in repr(auto)
