"""What captum offers beside its methods, against captum."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

import pnpxai.attributors as own
from pnpxai.errors import ArgumentError
from tests.on_demand import CAPTUM

DRAWS = [torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(k)) for k in range(5)]


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def test_every_name_of_captum_is_here_but_those_of_services_for_language_models():
    names = pytest.importorskip("captum.attr").__all__
    missing = {name for name in names if not hasattr(own, name)}
    of_language = re.compile("LLM|^(InterpretableInput|ImageMaskInput|TextTemplateInput|TextTokenInput)$")
    assert {name for name in missing if not of_language.search(name)} == {"LimeBase"}  # it stands in a module


# statistics


STATS = ("Mean", "MSE", "Var", "StdDev", "Min", "Max", "Sum", "Count")


@pytest.mark.parametrize("name", STATS)
def test_statistics_are_captums(name):
    here, there = (source.Summarizer([getattr(source, name)()]) for source in (own, CAPTUM))
    for draw in DRAWS:
        here.update(draw)
        there.update(draw)
    assert here.summary.keys() == there.summary.keys()
    for key, value in there.summary.items():
        assert torch.allclose(torch.as_tensor(here.summary[key]), torch.as_tensor(value), atol=1e-12)


def test_statistics_of_one_tensor_are_captums():
    here = own.SummarizerSingleTensor([own.Min(), own.Max()], [1])
    there = CAPTUM.SummarizerSingleTensor([CAPTUM.Min(), CAPTUM.Max()], [1])
    for draw in DRAWS:
        here.update(draw)
        there.update(draw)
    assert here.summary.keys() == there.summary.keys() == {"max"}
    assert torch.equal(here.summary["max"], there.summary["max"])
    assert isinstance(here.get(own.Min()), own.Min)
    assert here.get(own.Sum()) is None
    assert isinstance(1.0, own.StatValue)


def test_common_statistics_of_tuples_are_captums():
    here, there = (source.Summarizer(source.CommonStats()) for source in (own, CAPTUM))
    assert here.summary is None
    for draw in DRAWS:
        here.update((draw, 2 * draw[:, 0]))
        there.update((draw, 2 * draw[:, 0]))
    for one, other in zip(here.summary, there.summary, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.allclose(one[key], other[key], atol=1e-12) for key in other)


def test_statistics_of_classes_are_captums():
    here, there = (source.ClassSummarizer(source.CommonStats()) for source in (own, CAPTUM))
    for draw in DRAWS:
        here.update(draw, torch.tensor([0, 1, 0]))
        for row, label in zip(draw, [0, 1, 0], strict=True):  # with a tensor, each label is a class of its own there
            there.update(row[None], label)
    assert here.class_summaries.keys() == there.class_summaries.keys()
    for label, (expected,) in there.class_summaries.items():  # in a list, for a bare tensor too
        assert all(torch.allclose(here.class_summaries[label][key], expected[key], atol=1e-12) for key in expected)
    assert all(torch.allclose(here.summary[key], value, atol=1e-12) for key, value in there.summary[0].items())


def test_a_variance_is_that_of_all_samples():
    summarizer = own.Summarizer([own.Var(order=1), own.Count()])
    for draw in DRAWS:
        summarizer.update(draw)
    assert torch.allclose(summarizer.summary["sample_variance"], torch.stack(DRAWS).var(0), atol=1e-12)
    with pytest.raises(ArgumentError, match="order: expected 0 or 1"):
        own.Var(order=2)
    with pytest.raises(ArgumentError, match="expected 1 tensors, as before, got 2"):
        summarizer.update((DRAWS[0], DRAWS[0]))


# baselines


def test_product_baselines_draw_each_feature_by_itself():
    listed = own.ProductBaselines([[0, 1], [2, 3, 4], [5]], seed=1)
    drawn = [listed() for _ in range(200)]
    assert {row[0] for row in drawn} == {0, 1}
    assert {row[1] for row in drawn} == {2, 3, 4}
    assert len({tuple(row) for row in drawn}) == 6
    named = own.ProductBaselines({"a": [1, 2], ("b", "c"): [(3, 4), (5, 6)]})
    rows = [named.sample() for _ in range(50)]
    assert all(set(row) == {"a", "b", "c"} and (row["b"], row["c"]) in ((3, 4), (5, 6)) for row in rows)
    assert CAPTUM.ProductBaselines({"a": [1], ("b", "c"): [(3, 4)]}).sample() == {"a": 1, "b": 3, "c": 4}
    with pytest.raises(ArgumentError, match="at least one value for each feature"):
        own.ProductBaselines([[1], []])


def test_a_reference_of_one_token_is_captums():
    expected = CAPTUM.TokenReferenceBase(7).generate_reference(5, torch.device("cpu"))
    assert torch.equal(own.TokenReferenceBase(7).generate_reference(5, torch.device("cpu")), expected)


# embeddings


class Reads(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.ModuleDict({"words": nn.Embedding(9, 4)})
        self.head = nn.Linear(4, 2)

    def forward(self, ids):
        return self.head(self.inner["words"](ids).mean(1))


def test_a_stand_in_hands_on_embeddings_and_is_removed():
    torch.manual_seed(0)
    model, ids = Reads(), torch.tensor([[1, 2, 3], [4, 5, 6]])
    before, layer = model(ids), model.inner["words"]
    stand_in = own.configure_interpretable_embedding_layer(model, "inner.words")
    embedded = stand_in.indices_to_embeddings(ids)
    assert torch.equal(embedded, layer(ids))
    assert torch.equal(model(embedded), before)
    at_embedding = own.IntegratedGradients(model).attribute(embedded, target=1)
    with pytest.raises(ArgumentError, match="has a stand-in; remove that first"):
        own.configure_interpretable_embedding_layer(model, "inner.words")
    own.remove_interpretable_embedding_layer(model, stand_in)
    assert model.inner["words"] is layer
    layered = own.LayerIntegratedGradients(model, layer).attribute(ids, baselines=0 * ids, target=1)
    assert layered.shape == at_embedding.shape
    with pytest.raises(ArgumentError, match=r"no layer 'inner.word'; did you mean 'inner.words'"):
        own.configure_interpretable_embedding_layer(model, "inner.word")


# data sets


def loader():
    draws = torch.Generator().manual_seed(3)
    x = torch.randn(11, 4, dtype=torch.float64, generator=draws)
    labels = torch.randint(3, (11,), generator=draws)
    data = torch.utils.data.TensorDataset(x, labels)
    return torch.utils.data.DataLoader(data, batch_size=4)


def right(accumulated, output, batch):
    mean = output.gather(1, batch[1][:, None]).sum()
    return mean if accumulated is None else accumulated + mean


@pytest.mark.parametrize("mask", [None, torch.tensor([[0, 1, 1, 2]])], ids=["elements", "groups"])
@pytest.mark.parametrize("return_input_shape", [True, False])
def test_attributions_of_a_figure_of_a_data_set_are_captums(mask, return_input_shape):
    model = net()
    arguments = {
        "input_roles": (0, 2), "reduce": right, "to_metric": lambda total: (total / 11).reshape(1),
        "feature_mask": mask, "return_input_shape": return_input_shape,
    }  # fmt: skip
    here, there = (
        source.DataLoaderAttribution(source.FeatureAblation(model)).attribute(loader(), **arguments)
        for source in (own, CAPTUM)
    )
    here, there = ((maps[0] if return_input_shape else maps) for maps in (here, there))
    assert torch.allclose(here.double(), there.double().reshape(here.shape), atol=1e-6)
    assert here.abs().max() > 0


def test_roles_that_do_not_fit_are_refused():
    with pytest.raises(ArgumentError, match="input_roles: expected 0, 1 or 2 for each of 2 members"):
        own.DataLoaderAttribution(own.FeatureAblation(net())).attribute(loader(), input_roles=(1, 1))


# families


FAMILIES = {
    "GradientAttribution": ("Saliency", "InputXGradient", "IntegratedGradients", "GradientShap", "DeepLift", "LRP"),
    "PerturbationAttribution": ("FeatureAblation", "FeaturePermutation", "Occlusion", "ShapleyValueSampling", "Lime"),
    "NeuronAttribution": ("NeuronGradient", "NeuronConductance", "NeuronDeepLift", "NeuronFeatureAblation"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_families_are_captums(family):
    for names in FAMILIES.values():
        for name in names:
            mine, theirs = (getattr(source, name) for source in (own, CAPTUM))
            assert issubclass(mine, getattr(own, family)) == (name in FAMILIES[family])
            assert issubclass(theirs, getattr(CAPTUM, family)) >= (name in FAMILIES[family])
            assert issubclass(mine, own.Attribution)
