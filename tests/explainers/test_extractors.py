"""Every explainer takes its arguments out of whatever a batch is."""

from __future__ import annotations

import pytest
import torch

from pnpxai.tensors import as_tuple
from pnpxai.testing.zoo import CASES
from tests.explainers.each import EXPLAINERS, each, fits, made

TWO = CASES["two_inputs"]()
IMAGE, TABLE = TWO.inputs
ON_TWO = [e for e in EXPLAINERS if fits(e, "two_inputs")]


def batches(image, table):
    """Return batches in several forms with extractors of what is explained and of the rest."""
    labels = torch.arange(len(image))
    return {
        "tuple": ((image, table, labels), lambda b: b[0], lambda b: b[1]),
        "list": ([labels, [image, table]], lambda b: b[1][0], lambda b: (b[1][1],)),
        "mapping": ({"picture": image, "row": table, "label": labels}, lambda b: b["picture"], lambda b: b["row"]),
        "keywords": ((image, table), lambda b: {"image": b[0]}, lambda b: {"table": b[1]}),
    }


def close(one, other):
    return all(
        torch.allclose(a, b, atol=1e-10 * max(float(b.abs().max()), 1e-30))
        for a, b in zip(as_tuple(one), as_tuple(other), strict=True)
    )


@each(ON_TWO)
def test_the_form_of_a_batch_does_not_matter(explainer):
    found = {
        form: made(
            explainer, TWO.model, forward_arg_extractor=explained, additional_forward_arg_extractor=more
        ).attribute(batch, TWO.targets)
        for form, (batch, explained, more) in batches(IMAGE, TABLE).items()
    }
    assert found["tuple"].shape in (IMAGE.shape, (3, 1, 6, 6))
    assert all(close(maps, found["tuple"]) for maps in found.values())


@each(ON_TWO)
@pytest.mark.parametrize("form", ["tuple", "keywords"])
def test_further_arguments_stay_with_their_examples(explainer, form):
    def run(image, table, targets):
        batch, explained, more = batches(image, table)[form]
        return made(
            explainer, TWO.model, forward_arg_extractor=explained, additional_forward_arg_extractor=more
        ).attribute(batch, targets)

    together = run(IMAGE, TABLE, TWO.targets)
    for k in range(3):
        alone = run(IMAGE[k : k + 1], TABLE[k : k + 1], TWO.targets[k : k + 1])
        assert close(alone, together[k : k + 1])


@each(ON_TWO)
def test_all_may_be_explained(explainer):
    batch = {"row": TABLE, "picture": IMAGE}
    found = made(explainer, TWO.model, forward_arg_extractor=lambda b: (b["picture"], b["row"])).attribute(
        batch, TWO.targets
    )
    assert close(found, made(explainer, TWO.model).attribute(TWO.inputs, TWO.targets))


@each([e for e in ON_TWO if e.layer_is_site])
def test_extractors_and_a_layer(explainer):
    for batch, explained, more in batches(IMAGE, TABLE).values():
        at_layer = made(
            explainer,
            TWO.model,
            forward_arg_extractor=explained,
            additional_forward_arg_extractor=more,
            layer="conv",
        ).attribute(batch, TWO.targets)
        assert close(at_layer, made(explainer, TWO.model, layer="conv").attribute(TWO.inputs, TWO.targets))


@each(ON_TWO)
def test_an_explanation_holds_what_was_explained(explainer):
    for batch, explained, more in batches(IMAGE, TABLE).values():
        explanation = made(
            explainer, TWO.model, forward_arg_extractor=explained, additional_forward_arg_extractor=more
        ).explain(batch, TWO.targets)
        assert torch.equal(explanation.inputs[0], IMAGE)
        assert len(explanation.inputs) == 1
        with torch.no_grad():
            scores = TWO.model(IMAGE, TABLE)[range(3), TWO.targets]
        assert torch.allclose(explanation.scores, scores)
