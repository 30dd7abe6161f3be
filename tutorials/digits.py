# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Why does it read a seven?
#
# Scans of handwritten digits, each at some place of a sheet with noise; a small network reads them. We ask which pixels
# its answers rest on, make the explanations as faithful as they can be, and find out which of them to believe. As we
# put the ink there, we know which pixels matter.

# %%
from pathlib import Path

import torch
from torch import nn

import pnpxai
from pnpxai.demo import digits
from pnpxai.pictures import panel


def place(scans, seed):
    """Return sheets (examples, 1, 20, 20), and where on them the ink is (examples, 20, 20)."""
    draw = torch.Generator().manual_seed(seed)
    sheets = 0.3 * torch.rand(len(scans), 1, 20, 20, generator=draw)
    ink = torch.zeros(len(scans), 20, 20, dtype=torch.bool)
    for k, (top, left) in enumerate(torch.randint(13, (len(scans), 2), generator=draw).tolist()):
        sheets[k, 0, top : top + 8, left : left + 8] += scans[k, 0]
        ink[k, top : top + 8, left : left + 8] = scans[k, 0] > 0.25
    return sheets, ink


torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(24, 64, 4), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(64, 10),
)  # fmt: skip
(scans, answers), (new_scans, classes) = digits(seed=0)
optimizer = torch.optim.Adam(model.parameters(), 3e-3)
for epoch in range(9):
    sheets, _ = place(scans, seed=epoch + 1)
    for rows in torch.randperm(len(scans)).split(64):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(sheets[rows]), answers[rows]).backward()
        optimizer.step()
model.eval()
sheets, ink = place(new_scans, seed=0)
print(f"{(model(sheets).argmax(1) == classes).float().mean():.1%} of new digits are read correctly")

# %% [markdown]
# ## What fits
#
# The model and the data are all that is needed. Each explainer states what it needs, so the answer, and the
# reason against those that do not fit, is computed.

# %%
auto = pnpxai.AutoExplanationForImageClassification(model, (sheets[:64], classes[:64]))
print(auto.recommended)

# %% [markdown]
# ## Explain
#
# Integrated gradients share out the score among the pixels: red ones speak for the digit, blue ones against it.
# The gap says how far the shares are from adding up.

# %%
explanation = auto.explain("IntegratedGradients", count=64)
print(explanation)
explanation.plot().savefig("digits.png", dpi=120)

# %% [markdown]
# ## Tune
#
# SmoothGrad has two settings, and its map can be pooled and scaled in many ways. The search runs on half of the
# examples, with the defaults first; the gain is measured on the other half.

# %%
tuned = auto.tune("SmoothGrad", metric="AbPC", n_trials=10, show_progress=False)
print(tuned)

# %% [markdown]
# ## Compare
#
# Every explainer that fits and runs at most 30 rows for each picture, the tuned one, and two maps that know
# nothing of the model: random numbers, and the picture itself. Who does not beat these is dropped; who cannot be
# told from the best is said to tie. We compare on digits that were not tuned on.

# %%
fresh = pnpxai.AutoExplanationForImageClassification(model, (sheets[64:96], classes[64:96]))
results = fresh.compare([*fresh.affordable(30), tuned], show_progress=False)
print(results)

# %% [markdown]
# ## Look
#
# The maps of one digit, best explainer first, and the whole story as one file.

# %%
out = Path("digits")
out.mkdir(exist_ok=True)
names = results.explainers
panel([results.maps[name][0] for name in names], names).savefig(out / "maps.png", dpi=120)
report = pnpxai.write_report(results, out / "report.html")

# %% [markdown]
# ## Was it found?
#
# Of as many pixels as have ink, those with the largest attributions: how many have ink?


# %%
def found(maps):
    """Return the mean share of the pixels with the largest values that have ink."""
    shares = [ink[k].flatten()[m.flatten().argsort(descending=True)[: ink[k].sum()]] for k, m in enumerate(maps)]
    return float(torch.stack([share.float().mean() for share in shares]).mean())


random = found(torch.rand(64, 20, 20, generator=torch.Generator().manual_seed(0)))
for one in (explanation, auto.explain(names[0], count=64)):
    maps = one.attributions[0].sum(1)
    print(f"{one.explainer}: rank accuracy {found(maps):.2f}, of a random map {random:.2f}")
print(f"written: {Path('digits.png')}, {out / 'maps.png'}, {report}")
