"""The first minute with a picture: photographs explained by a network that was trained on ImageNet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pnpxai.auto import explain
from pnpxai.auto.named_models import PACKAGED, named_model
from pnpxai.declare.marks import Settings

if TYPE_CHECKING:
    import numpy as np

    from pnpxai.auto import Overview

__all__ = ["PHOTOGRAPHS", "explain_photos"]

PHOTOGRAPHS = {"cat": "chelsea", "coffee": "coffee", "photographer": "camera"}
"""Photographs of scikit-image: the name of the file that is written, and what scikit-image calls it."""


def explain_photos(out: Path, *, quick: bool = False) -> dict[Path, Overview]:
    """Write photographs into a folder, explain each, and write the picture of its explanations beside it.

    Args:
        out: a folder, made if missing.
        quick: one class and three explainers of each, not three and five.

    Returns:
        the files of the explanations, and what each shows.

    Raises:
        ArgumentError: the network's package is not installed; the message says how to install it.
    """
    import skimage.data
    from PIL import Image

    network = named_model(PACKAGED)
    facts: Settings = {"display": network.transform, "class_names": network.class_names}
    out.mkdir(parents=True, exist_ok=True)
    written: dict[Path, Overview] = {}
    for name, source in PHOTOGRAPHS.items():
        load: Callable[[], np.ndarray] = getattr(skimage.data, source)
        photograph = out / f"{name}.png"
        Image.fromarray(load()).save(photograph)
        overview = explain(photograph, network.model, quick=quick, **facts)
        written[overview.save(out / f"{name}.explained.png")] = overview
    return written
