"""What the base does for all explainers: fit, predictions, costs, models in other forms."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pnpxai.declare.registry import every
from pnpxai.detector import detect
from pnpxai.errors import ArgumentError, ConfinedError
from pnpxai.explainers.base import Explainer, fitting
from pnpxai.explainers.cam.grad_cam import GradCam
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad
from pnpxai.explainers.perturbation.occlusion import Occlusion
from pnpxai.explainers.propagation.lrp import LRPEpsilonPlus
from pnpxai.testing.audit import audit
from pnpxai.testing.subject import counted
from pnpxai.testing.zoo import CASES, cnn, skip_cnn
from pnpxai.traits import Traits

CNN, MLP, TWO, TOKENS, SKIP = (CASES[name]() for name in ("cnn", "mlp", "two_inputs", "tokens", "skip_cnn"))
DIFFERENTIABLE = (Gradient, IntegratedGradients, SmoothGrad, Occlusion, GradCam, LRPEpsilonPlus)


@pytest.mark.parametrize(
    ("explainer", "case", "traits", "reason"),
    [
        (Gradient, CNN, Traits.image(), None),
        (Gradient, TOKENS, Traits.text(), None),
        (
            Gradient,
            MLP,
            Traits.text(),
            "differentiates its inputs, which are ids here, and Perceptron has no embedding; give layer=",
        ),
        (Occlusion, TOKENS, Traits.text(), None),
        (LRPEpsilonPlus, MLP, None, "needs convolution; Perceptron has linear"),
    ],
)
def test_reasons_against(explainer, case, traits, reason):
    assert explainer.reason_against(detect(case.model), traits) == reason


def test_what_needs_the_inside_does_not_fit_a_function():
    reasons = fitting(lambda x: x, None, [Gradient, GradCam])
    assert reasons == {Gradient: None, GradCam: "needs a torch.nn.Module; <lambda> hides its layers"}
    with pytest.raises(ArgumentError, match="model: expected a model, got int"):
        fitting(3, None, [Gradient])


@pytest.mark.parametrize("case", [CNN, TWO, TOKENS], ids=lambda case: case.name)
def test_predictions_are_the_largest_outputs(case):
    expected = case.model(*case.tensors).argmax(1)
    assert torch.equal(Gradient(case.model).predictions(case.inputs), expected)


def test_of_a_model_with_one_output_nothing_is_predicted():
    one = Gradient(nn.Linear(6, 1).double())
    assert one.predictions(MLP.inputs) is None
    assert one.explain(MLP.inputs).targets is None


@pytest.mark.parametrize("explainer", DIFFERENTIABLE, ids=lambda explainer: explainer.__name__)
def test_a_compiled_model_is_explained_as_it_was_written(explainer):
    expected = explainer(SKIP.model).attribute(SKIP.inputs, SKIP.targets)
    compiled = torch.compile(SKIP.model, backend="eager")
    assert torch.equal(explainer(compiled).attribute(SKIP.inputs, SKIP.targets), expected)
    in_place = skip_cnn().model
    in_place.compile(backend="eager")
    assert torch.equal(explainer(in_place).attribute(SKIP.inputs, SKIP.targets), expected)


@pytest.mark.parametrize("explainer", DIFFERENTIABLE, ids=lambda explainer: explainer.__name__)
def test_data_parallel_on_one_device_is_the_model(explainer):
    parallel = nn.DataParallel(SKIP.model)
    found = explainer(parallel).attribute(SKIP.inputs, SKIP.targets)
    assert torch.equal(found, explainer(SKIP.model).attribute(SKIP.inputs, SKIP.targets))


@pytest.mark.parametrize("explainer", [Gradient, IntegratedGradients, SmoothGrad, Occlusion], ids=lambda e: e.__name__)
@pytest.mark.parametrize("form", ["script", "trace", "export", "function"])
def test_other_forms_of_a_model_are_explained_alike(explainer, form):
    model = cnn().model
    if form in ("script", "trace"):
        with pytest.warns(FutureWarning, match="torch.jit"):
            other = torch.jit.script(model) if form == "script" else torch.jit.trace(model, CNN.inputs)
    elif form == "export":
        shapes = ({0: torch.export.Dim("examples")},)
        other = torch.export.export(model, CNN.tensors, dynamic_shapes=shapes).module()
    else:
        other = lambda x: model(x)  # noqa: E731
    found = explainer(other).attribute(CNN.inputs, CNN.targets)
    assert torch.allclose(found, explainer(CNN.model).attribute(CNN.inputs, CNN.targets), atol=1e-12)


def test_the_inside_of_a_scripted_model_is_refused():
    with pytest.warns(FutureWarning, match=r"torch.jit"):
        scripted = torch.jit.script(cnn().model)
    with pytest.raises(ConfinedError, match="pass the original Python model"):
        Gradient(scripted, layer="0")
    with pytest.raises(ConfinedError, match="pass the original Python model"):
        LRPEpsilonPlus(scripted).attribute(CNN.inputs, 1)


def test_parameters_made_under_inference_mode():
    with torch.inference_mode():
        model = cnn().model
    with pytest.raises(ConfinedError, match="build or load the model outside of it"):
        Gradient(model).attribute(CNN.inputs, 1)
    found = Occlusion(model).attribute(CNN.inputs, 1)
    assert torch.equal(found, Occlusion(CNN.model).attribute(CNN.inputs, 1))


@pytest.mark.parametrize("layer", ["0", "2", ["0"]], ids=str)
@pytest.mark.parametrize("explainer", [Gradient, Occlusion, IntegratedGradients], ids=lambda e: e.__name__)
def test_cost_at_a_layer_is_what_is_run(explainer, layer):
    made = explainer(CNN.model, layer=layer)
    with counted(CNN.model) as counter:
        made.attribute(CNN.inputs, 1)
    assert made.cost(CNN.inputs) == counter.rows


def test_a_layer_and_the_model_after_it_agree():
    # where the layer is linear, the gradient at the input follows from that at the layer
    at_layer = Gradient(MLP.model, layer="first").attribute(MLP.inputs, MLP.targets)
    at_input = Gradient(MLP.model).attribute(MLP.inputs, MLP.targets)
    assert torch.allclose(at_layer @ MLP.model.first.weight, at_input)


def test_segmentation_is_explained_through_a_function():
    class Dense(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 3, padding=1).double()

        def forward(self, x):
            return {"out": self.conv(x)}

    model = Dense()
    found = Gradient(model).attribute(CNN.inputs, lambda out: out["out"][:, 1, 4, 4])
    assert torch.allclose(found[:, :, 3:6, 3:6], model.conv.weight[1].expand(3, -1, -1, -1))
    assert found[:, :, :3].abs().max() == 0


def test_explaining_leaves_the_callers_tensors_alone_when_the_model_edits_them():
    class Edits(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = cnn().model

        def forward(self, x):
            return self.model(x.mul_(2))

    model, x = Edits(), CNN.inputs.clone()
    with audit(model, x):
        explanation = Gradient(model).explain(x)
        at_layer = Gradient(model, layer="model.0").attribute(x, 1)
    doubled = CNN.model(CNN.inputs * 2)
    assert torch.equal(explanation.targets, doubled.argmax(1))
    assert torch.allclose(explanation.scores, doubled.amax(1).detach())
    assert torch.equal(at_layer, Gradient(CNN.model, layer="0").attribute(CNN.inputs * 2, 1))


def test_none_and_words_among_further_arguments_are_passed_on():
    class Extra(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = MLP.model

        def forward(self, x, mask, how):
            assert mask is None
            return self.model(x) * len(how)

    made = Gradient(Extra(), None, lambda inputs: (None, "abc"))
    assert torch.allclose(made.attribute(MLP.inputs, 1), 3 * Gradient(MLP.model).attribute(MLP.inputs, 1))


def test_an_attention_mask_of_minus_infinity_is_legal():
    mask = torch.zeros(8)
    mask[3] = float("-inf")

    class Masked(nn.Module):
        def forward(self, x, mask):
            return (x * (x + mask).softmax(-1).nan_to_num()).sum(1, keepdim=True)

    made = Gradient(Masked(), None, lambda inputs: mask)
    x = torch.rand(2, 8)
    assert made.attribute(x, 0)[:, 3].abs().max() == 0


def test_transformers_are_explained_at_their_embedding():
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, vocab_size=20, num_labels=3
    )
    model = BertForSequenceClassification(config).eval()
    inputs = {"input_ids": torch.tensor([[1, 5, 3, 0]]), "attention_mask": torch.tensor([[1, 1, 1, 0]])}
    found = Gradient(model, layer="bert.embeddings.word_embeddings").attribute(inputs, 2)
    assert found.shape == (1, 4, 8)
    assert found.abs().max() > 0
    assert Gradient(model).predictions(inputs).tolist() == [int(model(**inputs).logits.argmax())]


def test_every_explainer_names_its_paper():
    for explainer in every(Explainer, within="pnpxai."):
        assert explainer.__doc__, explainer
        assert explainer.control or any(mark in explainer.__doc__ for mark in ("arXiv:", "doi:")), explainer
