"""Expected gradients of both libraries, made for a calibrated model."""

from pnpxai.testing.zoo import CASES
from tests.attributors.at_layers import drawn

LAYERS = {"mlp": "first", "cnn": "2", "skip_cnn": "bn2", "series": "conv2", "two_inputs": "conv", "vit": "patches"}
NAMES = ["GradientShap", "LayerGradientShap"]


def made(library, name, case, *more, layer=None):
    """Return a method of a library on a calibrated model."""
    it = CASES[case]() if isinstance(case, str) else case
    if name == "GradientShap":
        return getattr(library, name)(it.model, *more)
    return getattr(library, name)(it.model, it.model.get_submodule(layer or LAYERS[it.name]), None, *more)


def rows_for(case, count, seed=7):
    it = CASES[case]() if isinstance(case, str) else case
    rows = tuple(drawn(count, *x.shape[1:], seed=seed + k) for k, x in enumerate(it.tensors))
    return rows if isinstance(it.inputs, tuple) else rows[0]
