"""Every law is able to fail: one element that is slightly off breaks it; a refusal has to be listed and true."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from pnpxai.declare.registry import every
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.gradient.saliency import Gradient
from pnpxai.tensors import as_tuple, own
from pnpxai.testing.architectures import ARCHITECTURES
from pnpxai.testing.subject import Broken
from tests.laws import judge, laws_of
from tests.laws.matrix import cell
from tests.laws.refusals import REFUSALS, Refusal, fails, is_same_as, reason_against

EXPLAINERS = [explainer for explainer in every(Explainer, within="pnpxai.") if not explainer.control]
SMALL = ("skip_cnn", "series", "tokens", "vit")


def _slightly_off(attribute):
    def wrong(self, *args, **kwargs):
        maps = attribute(self, *args, **kwargs)
        changed = [own(m) for m in as_tuple(maps)]
        for m in changed:
            m[0].flatten()[0] += 0.05 * m.abs().max()
        return tuple(changed) if isinstance(maps, tuple) else changed[0]

    return wrong


@pytest.mark.parametrize("explainer", EXPLAINERS, ids=lambda explainer: explainer.__name__)
def test_one_element_that_is_slightly_off_breaks_a_law(explainer):
    name = next(name for name in SMALL if reason_against(explainer, ARCHITECTURES[name]()) is None)
    case = ARCHITECTURES[name]()
    assert all(finding.holds for finding in judge(explainer, case))
    with patch.object(Explainer, "attribute", _slightly_off(Explainer.attribute)):
        assert not all(finding.holds for finding in judge(explainer, case))
        with pytest.raises(Broken, match=f"{explainer.__name__} on {name}"):
            cell(explainer, case)


def _refusing(explainer):
    return patch.object(explainer, "reason_against", classmethod(lambda *given: "it does not feel like it"))


def test_a_refusal_has_to_be_listed_and_to_be_true():
    case = ARCHITECTURES["mlp"]()
    with _refusing(Gradient):
        with pytest.raises(Broken, match="Gradient refuses mlp, which REFUSALS does not allow: it does not feel"):
            cell(Gradient, case)
        for proof, found in ((fails, None), (is_same_as("GradientXInput"), None), (is_same_as("Gradient"), "is that")):
            with patch.dict(REFUSALS, Gradient=(Refusal("it is too simple", frozenset({"mlp"}), proof),)):
                if found is None:
                    with pytest.raises(Broken, match="Gradient refuses mlp, but nothing is wrong there"):
                        cell(Gradient, case)
                else:
                    assert cell(Gradient, case).shown == "it is too simple: the map is that of Gradient (off by 0e+00)"


def test_an_explainer_without_a_law_is_told_what_to_add():
    class Unheard(Explainer, abstract=True):
        """Nothing is known of it."""

    with pytest.raises(LookupError, match=r"Unheard has no law: state in LAWS of tests\.laws\.test_test_laws what"):
        laws_of(Unheard)
