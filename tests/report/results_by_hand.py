"""Results made by hand: no model, no training; every number is known."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from pnpxai.experiment import Results
from pnpxai.experiment.results import InputMaps
from pnpxai.pictures import View
from pnpxai.statistics import MeanRank

DIRECTIONS = {"AbPC": True, "FaithfulnessCorrelation": True, "Sensitivity": False, "Complexity": False}
SETTINGS = {"window": 0.125, "channel_dim": 1, "layer": None, "baseline_fn": {"type": "Zeros"}}
POSTPROCESSOR = {"type": "PostProcessor", "pooling_fn": {"type": "Sum"}, "channel_dim": 1}


def made(
    explainers: Sequence[str] = ("Occlusion", "SmoothGrad", "GradCam"),
    controls: Sequence[str] = ("RandomMap",),
    *,
    examples: int = 8,
    kept: int = 6,
    positions: Sequence[int] = (8, 8),
    inputs: Sequence[int] = (1, 8, 8),
    undefined: dict[tuple[str, str], str] | None = None,
    **changes: Any,
) -> Results:
    """Return results in which every explainer is better, on all examples, than those named after it.

    Args:
        explainers: labels, best first.
        controls: labels of controls, worse than all explainers.
        examples: how many there are.
        kept: of how many there are maps.
        positions: a map's shape.
        inputs: an input's shape.
        undefined: (explainer, metric) -> why the first example has no value.
        changes: fields of ``Results`` to set otherwise.
    """
    labels, rng = [*explainers, *controls], np.random.default_rng(0)
    generator = torch.Generator().manual_seed(0)
    rows = []
    for metric, higher in DIRECTIONS.items():
        for place, label in enumerate(labels):
            worth = 1 - place / len(labels)
            for k in range(examples):
                value = (worth if higher else 1 - worth) + float(rng.uniform(0, 0.3 / len(labels)))
                reason = (undefined or {}).get((label, metric)) if k == 0 else None
                value = float("nan") if reason else value
                # the third example's target is not its label
                rows.append((k, f"key{k}", k % 3, 7 if k == 2 else k % 3, label, metric, value, reason))
    columns = ["example", "key", "target", "label", "explainer", "metric", "value", "reason"]
    table = pd.DataFrame(rows, columns=columns)
    values = {
        metric: {label: table[(table.metric == metric) & (table.explainer == label)].value.tolist() for label in labels}
        for metric in DIRECTIONS
    }
    fields: dict[str, Any] = {
        "table": table,
        "seconds": pd.DataFrame(
            {label: {"explaining": 0.5 * (k + 1), "rows": 21 * k} for k, label in enumerate(labels)}
        ).T,
        "curves": {
            "AbPC": {
                label: {"morf": [0.9, 0.2 + k / 10, 0.1], "lerf": [0.9, 0.8 - k / 10, 0.1]}
                for k, label in enumerate(labels)
            }
        },
        "decision": MeanRank().decide(values, DIRECTIONS, list(controls)),
        "directions": DIRECTIONS,
        "settings": {
            label: {
                "explainer": SETTINGS | {"type": label},
                "postprocessor": POSTPROCESSOR,
                "control": label in controls,
            }
            for label in labels
        },
        "maps": {label: torch.randn(kept, *positions, generator=generator) for label in labels},
        "inputs": torch.rand(kept, *inputs, generator=generator),
        "facts": {
            "seed": 3,
            "examples": examples,
            "model": "tests:Made@0123456789ab",
            "versions": {"python": "3.11.0", "torch": "2.6.0"},
            "metrics": {metric: {"type": metric, "n_steps": 10} for metric in DIRECTIONS},
        },
        "rejected": {"KernelShap": "needs features that can be left out"},
        "tuned": (
            {
                "label": explainers[0], "metric": "AbPC", "value": 0.75, "trials": 12,
                "explainer": {"type": explainers[0], "window": 0.25, "channel_dim": 1}, "postprocessor": POSTPROCESSOR,
                "curve": [0.5, None, 0.7, 0.6, 0.75],
                "held_out_gain": {"mean": 0.05, "low": 0.01, "high": 0.09, "n": 4},
            },
        ),
    }  # fmt: skip
    return Results(**(fields | changes))


def several(results: Results, *, words: int = 9, steps: int = 50, columns: int = 20) -> Results:
    """Return results of a model with four inputs: that of the results (a picture), words, three channels, columns.

    Args:
        results: whose maps of the last three inputs are drawn; those of GradCam are missing.
        words: in each text.
        steps: of each series.
        columns: of the table.
    """
    draw, count = torch.Generator().manual_seed(1), len(results.inputs)
    labels = [label for label in results.maps if label != "GradCam"]

    def kept(inputs: torch.Tensor) -> InputMaps:
        return InputMaps(inputs, {label: torch.randn(inputs.shape, generator=draw) for label in labels})

    texts = tuple(tuple((f"word{k}", 1) for k in range(words)) for _ in range(count))
    classes = ("no", "yes & more", "<maybe>")
    views = [
        View("image", 1, classes=classes),
        View("tokens", -1, words=texts),
        View("series", 1, names=("left", "the one in the middle", "<right>")),
        View("table", None, names=tuple(f"column<{k}>" for k in range(columns))),
    ]
    further = (
        kept(torch.ones(count, words)),
        kept(torch.randn(count, 3, steps, generator=draw)),
        kept(torch.randn(count, columns, generator=draw)),
    )
    further = (replace(further[0], inputs=further[0].inputs.long()), *further[1:])
    facts = results.facts | {"views": [view.to_dict() for view in views]}
    return replace(results, further=further, facts=facts)


def pixels(html: Any) -> np.ndarray:
    """Return the colours (height, width, 4) of the inline picture in a piece of HTML or CSS."""
    (found,) = re.findall(r"data:image/png;base64,([\w+/=]+)", str(html))
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(found))).convert("RGBA"))
