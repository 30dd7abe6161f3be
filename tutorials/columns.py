# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Which columns does a prediction rest on?
#
# The columns are those of real patients (age, body mass index, blood pressure, six blood values). So that we can
# check the answer, what is to be predicted is made of three of them. A small network learns it.

# %%
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_diabetes
from torch import nn

import pnpxai

diabetes: Any = load_diabetes(as_frame=True)
table = diabetes["data"] * 20  # about one standard deviation each
risk = 2 * table["bmi"] - 1.5 * table["bp"] + table["s5"] * (table["s5"] > 0)

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
x, y = torch.tensor(table.values).float(), torch.tensor(risk.values).float()[:, None]
optimizer = torch.optim.Adam(model.parameters(), 3e-3, weight_decay=1e-4)
for _ in range(500):
    rows = torch.randint(350, (64,))
    optimizer.zero_grad()
    nn.functional.mse_loss(model(x[rows]), y[rows]).backward()
    optimizer.step()
model.eval()
left = ((model(x[350:]) - y[350:]).square().mean() / y[350:].var()).item()
print(f"{1 - left:.1%} of the variance of new patients' risk is predicted")

# %% [markdown]
# ## Explain
#
# A frame brings its columns' names. What an explanation compares with is the mean patient.

# %%
auto = pnpxai.AutoExplanationForTabularRegression(model, table[350:])
print(auto)
explanation = auto.explain("ShapleyValueSampling", count=60)
explanation.plot(limit=2).savefig("columns.png", dpi=120)
explanation.plot(limit=2, style="waterfall").savefig("waterfall.png", dpi=120)

# %% [markdown]
# ## Was it found?
#
# Three columns matter. How many of the three with the largest shares are these?

# %%
truth = torch.tensor([name in ("bmi", "bp", "s5") for name in table.columns])


def found(maps):
    """Return the share of the three largest that matter."""
    return float(truth[maps.abs().argsort(1, descending=True)[:, :3]].float().mean())


random = found(torch.rand(60, 10, generator=torch.Generator().manual_seed(0)))
print(f"rank accuracy {found(explanation.attributions[0]):.2f}, of a random map {random:.2f}")
print(f"written: {Path('columns.png')}, {Path('waterfall.png')}")
