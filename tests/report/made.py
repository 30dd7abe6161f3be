"""Results made by hand: no model, no training; every number is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from pnpxai.experiment import Results
from pnpxai.statistics import MeanRank

DIRECTIONS = {"AbPC": True, "FaithfulnessCorrelation": True, "Sensitivity": False, "Complexity": False}
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
                "explainer": {"type": label, "n_iter": 20, "layer": None, "baseline_fn": {"type": "Zeros"}},
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
                "explainer": {"type": explainers[0], "n_iter": 40}, "postprocessor": POSTPROCESSOR,
                "curve": [0.5, None, 0.7, 0.6, 0.75],
                "held_out_gain": {"mean": 0.05, "low": 0.01, "high": 0.09, "n": 4},
            },
        ),
    }  # fmt: skip
    return Results(**(fields | changes))
