"""Explainers take their arguments out of whatever a batch is."""

from __future__ import annotations

import torch

from pnpxai.tensors import as_tuple
from tests.explainers.checks import check, made


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


def reading(explainer, model, explained, more, **settings):
    """Return the explainer with extractors."""
    return made(explainer, model, forward_arg_extractor=explained, additional_forward_arg_extractor=more, **settings)


@check("two_inputs")
def the_form_of_a_batch_does_not_matter(explainer, case):
    image, table = case.inputs
    maps = {
        form: reading(explainer, case.model, explained, more).attribute(batch, case.targets)
        for form, (batch, explained, more) in batches(image, table).items()
    }
    assert maps["tuple"].shape in (image.shape, (3, 1, 6, 6))
    for form, one in maps.items():
        assert close(one, maps["tuple"]), form


@check("two_inputs")
def further_arguments_stay_with_their_examples(explainer, case):
    image, table = case.inputs

    def run(form, rows):
        batch, explained, more = batches(image[rows], table[rows])[form]
        return reading(explainer, case.model, explained, more).attribute(batch, case.targets[rows])

    for form in ("tuple", "keywords"):
        together = run(form, slice(None))
        for k in range(3):
            assert close(run(form, slice(k, k + 1)), together[k : k + 1]), (form, k)


@check("two_inputs")
def all_arguments_may_be_explained(explainer, case):
    image, table = case.inputs
    one = made(explainer, case.model, forward_arg_extractor=lambda b: (b["picture"], b["row"]))
    maps = one.attribute({"row": table, "picture": image}, case.targets)
    assert close(maps, made(explainer, case.model).attribute(case.inputs, case.targets))


@check("two_inputs", of=lambda explainer: explainer.layer_is_site)
def extractors_and_a_layer_go_together(explainer, case):
    plain = made(explainer, case.model, layer="conv").attribute(case.inputs, case.targets)
    for form, (batch, explained, more) in batches(*case.inputs).items():
        at_layer = reading(explainer, case.model, explained, more, layer="conv").attribute(batch, case.targets)
        assert close(at_layer, plain), form


@check("two_inputs")
def an_explanation_holds_what_was_explained(explainer, case):
    image, table = case.inputs
    with torch.no_grad():
        scores = case.model(image, table)[range(3), case.targets]
    for batch, explained, more in batches(image, table).values():
        explanation = reading(explainer, case.model, explained, more).explain(batch, case.targets)
        assert torch.equal(explanation.inputs[0], image)
        assert len(explanation.inputs) == 1
        assert torch.allclose(explanation.scores, scores)
