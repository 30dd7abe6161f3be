# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # When did it happen?
#
# Three sensors record noise. In some recordings the second one swings for a moment. A small convolutional
# network learns to tell such recordings from the others; we ask when, and by which sensor, it knows.

# %%
from pathlib import Path

import torch
from torch import nn

import pnpxai


def record(count, seed):
    """Return series (count, 3, 64), whether they hold a swing, and where it is."""
    draw = torch.Generator().manual_seed(seed)
    x, y = torch.randn(count, 3, 64, generator=draw), torch.randint(2, (count,), generator=draw)
    where = torch.zeros(count, 3, 64, dtype=torch.bool)
    for k, start in enumerate(torch.randint(54, (count,), generator=draw)):
        where[k, 1, start : start + 10] = bool(y[k])
    swing = 2 * torch.sin(torch.arange(10) / 10 * 6.28)
    x[where] += swing.repeat(int(y.sum()))
    return x, y, where


torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv1d(3, 16, 9, padding=4), nn.ReLU(), nn.Conv1d(16, 16, 5, padding=2), nn.ReLU(),
    nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(16, 2),
)  # fmt: skip
x, y, _ = record(2000, seed=1)
optimizer = torch.optim.Adam(model.parameters(), 3e-3)
for _ in range(400):
    rows = torch.randint(2000, (64,))
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
    optimizer.step()
x, y, where = record(200, seed=2)
model.eval()
print(f"{(model(x).argmax(1) == y).float().mean():.1%} of new recordings are told right")

# %% [markdown]
# ## Explain
#
# Model and data are enough: what the data is, is worked out, and said.

# %%
swings = (y == 1) & (model(x).argmax(1) == 1)
auto = pnpxai.auto_explain(model, x[swings], feature_names=["left", "middle", "right"], class_names=["calm", "swing"])
print(auto)
print(auto.recommended)
explanation = auto.explain("IntegratedGradients", count=40)
explanation.plot(limit=3).savefig("series.png", dpi=120)

# %% [markdown]
# ## Was it found?
#
# We know where each swing is. Of as many places as it has, those with the largest attributions: how many lie in it?

# %%
truth = where[swings][:40].flatten(1)


def found(maps):
    """Return the share of the places with the largest values that lie in the swing."""
    best = maps.flatten(1).argsort(1, descending=True)[:, :10]
    return float(truth.gather(1, best).float().mean())


random = found(torch.rand(40, 3, 64, generator=torch.Generator().manual_seed(0)))
print(f"rank accuracy {found(explanation.attributions[0]):.2f}, of a random map {random:.2f}")
print(f"written: {Path('series.png')}")
