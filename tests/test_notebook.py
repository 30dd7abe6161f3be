"""In a real notebook each result draws itself: with a picture where there is one, and columns below each other."""

from __future__ import annotations

import re

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

SETUP = """
import torch
from torch import nn
import pnpxai
torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))
x = torch.rand(12, 3, 8, 8)
auto = pnpxai.auto_explain(net.eval(), x)
some = ["Gradient", "GradCam", "Occlusion"]
"""
SHOWS = {
    "auto.recommended": ("html", "<table"),
    "auto.explain('Gradient')": ("html", "data:image/png"),
    "auto.explain('GradCam').plot()": ("png", ""),
    "auto.tune('SmoothGrad', n_trials=3)": ("html", "<pre>"),
    "auto.rank(['Gradient', 'SmoothGrad'], n_trials=2)": ("html", "<table"),
    "auto.compare(some)": ("html", "data:image/png"),
    "pnpxai.explain(x[:1], net, quick=True)": ("html", "data:image/png"),
}
"""What a cell says, and what must be in its output: a kind of output and a part of it."""


@pytest.mark.slow
def test_results_draw_themselves():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in (SETUP, *SHOWS)])
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    for cell, (kind, part) in zip(notebook.cells[1:], SHOWS.values(), strict=True):
        (shown,) = [output["data"] for output in cell.outputs if output.output_type == "execute_result"]
        held = shown["image/png" if kind == "png" else "text/html"]
        assert part in held, cell.source
        assert len(held) > 100
        errors = [o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stderr"]
        assert not re.search("Warning|Error", "".join(errors)), cell.source
