"""captum's names for generated text: its tutorial's lines run, and its values come out."""

from __future__ import annotations

import warnings

import matplotlib as mpl
import pytest
import torch

from pnpxai import attributors as ours
from pnpxai.errors import ArgumentError
from tests.language.models import ids, model, tokenizer

theirs = pytest.importorskip("captum.attr")
TARGET = " red . it"


def both(build, **arguments):
    """The result of the same lines with either library."""
    found = []
    for library in (ours, theirs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            attribution, given = build(library)
            if library is theirs and isinstance(attribution, theirs.LLMAttribution):
                arguments = arguments | {"use_cached_outputs": False}
            found.append(attribution.attribute(given, **arguments))
    return found


def same(one, other, *, tokens=True, atol=2e-4):
    torch.testing.assert_close(one.seq_attr.float(), other.seq_attr.float(), atol=atol, rtol=1e-3)
    if tokens:
        torch.testing.assert_close(one.token_attr.float(), other.token_attr.float(), atol=atol, rtol=1e-3)
    assert one.input_tokens == other.input_tokens
    assert [t.strip() for t in one.output_tokens] == [t.strip() for t in other.output_tokens]


def template(library, **more):
    given = {"values": ["old", "cat", "sea"], "baselines": ["green", "dog", "tower"]} | more
    return library.TextTemplateInput("the {} {} is on the {}", **given)


@pytest.mark.parametrize("method", ["FeatureAblation", "ShapleyValues"])
def test_a_template_by_ablation_and_by_all_orders(method):
    made = model("Llama")
    same(*both(lambda x: (x.LLMAttribution(getattr(x, method)(made), tokenizer()), template(x)), target=TARGET))


def test_sampled_shapley_values_are_captums_exact_ones_where_all_sets_fit():
    made = model("Llama")
    one, _ = both(lambda x: (x.LLMAttribution(x.ShapleyValueSampling(made), tokenizer()), template(x)), target=TARGET)
    _, exact = both(lambda x: (x.LLMAttribution(x.ShapleyValues(made), tokenizer()), template(x)), target=TARGET)
    same(one, exact)


def test_kernel_shap_of_a_template_is_captums_exact_value_and_probabilities_are_a_target():
    made = model("Llama")
    one, _ = both(lambda x: (x.LLMAttribution(x.KernelShap(made), tokenizer()), template(x)), target=TARGET)
    _, exact = both(lambda x: (x.LLMAttribution(x.ShapleyValues(made), tokenizer()), template(x)), target=TARGET)
    same(one, exact, tokens=False)
    same(*both(lambda x: (x.LLMAttribution(x.FeatureAblation(made), tokenizer(), attr_target="prob"), template(x)),
               target=TARGET), atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("skipped", [None, [" is"], "ids"])
def test_tokens_by_ablation(skipped):
    made, text = model("Llama"), "the old cat is on the sea"
    words = [int(ids(text)[0])] if skipped == "ids" else None if skipped is None else ["\u2581is"]
    same(*both(lambda x: (x.LLMAttribution(x.FeatureAblation(made), tokenizer()),
                          x.TextTokenInput(text, tokenizer(), skip_tokens=words)), target=TARGET))  # fmt: skip


def test_named_values_groups_and_functions_as_templates():
    made, values = model("Llama"), {"a": "old", "b": "cat", "c": "sea"}

    def given(x):
        return x.TextTemplateInput(
            lambda a, b, c: f"the {a} {b} is on the {c}", values, baselines=dict.fromkeys(values, "blue"),
            mask={"a": 0, "b": 1, "c": 0},
        )  # fmt: skip

    one = ours.LLMAttribution(ours.FeatureAblation(made), tokenizer()).attribute(given(ours), target=TARGET)
    attribution = theirs.LLMAttribution(theirs.FeatureAblation(made), tokenizer())
    other = attribution.attribute(given(theirs), target=TARGET, use_cached_outputs=False)
    same(one, other)
    assert one.seq_attr[0] == one.seq_attr[2]


@pytest.mark.parametrize("method", ["LayerIntegratedGradients", "LayerGradientXActivation"])
def test_gradients_at_the_embedding(method):
    made = model("Llama")
    same(*both(lambda x: (
        x.LLMGradientAttribution(getattr(x, method)(made, made.get_input_embeddings()), tokenizer()),
        x.TextTokenInput("the old cat is on the sea", tokenizer(), skip_tokens=["\u2581is"]),
    ), target=TARGET))  # fmt: skip


def test_the_model_writes_the_output_where_none_is_given():
    made = model("Llama")
    arguments = {"gen_args": {"max_new_tokens": 3, "do_sample": False, "pad_token_id": 0}}
    same(*both(lambda x: (x.LLMAttribution(x.FeatureAblation(made), tokenizer()), template(x)), **arguments))


def test_results_are_drawn_and_printed():
    mpl.use("Agg")
    found = ours.LLMAttribution(ours.FeatureAblation(model("Llama")), tokenizer()).attribute(template(ours), TARGET)
    figure, axes = found.plot_token_attr()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["old", "cat", "sea"]
    assert f"{float(found.token_attr[0, 0]):.4f}" in [text.get_text() for text in axes.texts]
    figure, axes = found.plot_seq_attr()
    assert [bar.get_height() for bar in axes.patches] == pytest.approx(found.seq_attr.tolist())
    assert found.seq_attr_dict["cat"] == float(found.seq_attr[1])
    mpl.pyplot.close("all")


def test_wrong_calls_say_what_was_expected():
    made = model("Llama")
    with pytest.raises(ArgumentError, match="attr_method: expected one of FeatureAblation"):
        ours.LLMAttribution(ours.Saliency(made), tokenizer())
    attribution = ours.LLMAttribution(ours.FeatureAblation(made), tokenizer())
    with pytest.raises(ArgumentError, match="inp: expected one of TextTemplateInput"):
        attribution.attribute("a text")
    with pytest.raises(ArgumentError, match="gen_args: the target is given"):
        attribution.attribute(template(ours), TARGET, gen_args={})
    with pytest.raises(ArgumentError, match="baselines: expected 3"):
        template(ours, baselines=["green"])
    with pytest.raises(ArgumentError, match="skip_tokens: no token"):
        ours.TextTokenInput("the", tokenizer(), skip_tokens=["the"])
