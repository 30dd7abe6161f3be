# ---
# jupyter:
#   jupytext:
#     formats: py:percent
# ---

# %% [markdown]
# # Why does it read a seven?
#
# A small network reads scans of handwritten digits. We ask which pixels its answers rest on, make the
# explanations as faithful as they can be, and find out which of them to believe.

# %%
from pathlib import Path

import pnpxai
from pnpxai.demo import digits, train
from pnpxai.pictures import panel

training, (pictures, classes) = digits(seed=0)
model = train(*training, seed=0, show_progress=False)
print(f"{(model(pictures).argmax(1) == classes).float().mean():.1%} of the held-out digits are read correctly")

# %% [markdown]
# ## What fits
#
# The model and the data are all that is needed. Each explainer states what it needs, so the answer, and the
# reason against those that do not fit, is computed.

# %%
auto = pnpxai.AutoExplanationForImageClassification(model, (pictures[:64], classes[:64]))
print(auto.recommended)

# %% [markdown]
# ## Explain
#
# Integrated gradients share out the score among the pixels: red ones speak for the digit, blue ones against it.
# The gap says how far the shares are from adding up.

# %%
explanation = auto.explain("IntegratedGradients", count=5)
print(explanation)

# %% [markdown]
# ## Tune
#
# SmoothGrad has two settings, and its map can be pooled and scaled in many ways. The search runs on half of the
# examples, with the defaults first; the gain is measured on the other half.

# %%
tuned = auto.tune("SmoothGrad", metric="AbPC", n_trials=15, show_progress=False)
print(tuned)

# %% [markdown]
# ## Compare
#
# Every explainer that fits and runs at most 100 rows for each picture, the tuned one, and two maps that know
# nothing of the model: random numbers, and the picture itself. Who does not beat these is dropped; who cannot be
# told from the best is said to tie. We compare on digits that were not tuned on.

# %%
fresh = pnpxai.AutoExplanationForImageClassification(model, (pictures[64:128], classes[64:128]))
results = fresh.compare([*fresh.affordable(100), tuned], show_progress=False)
print(results)

# %% [markdown]
# ## Look
#
# The maps of one digit, best explainer first, and the whole story as one file.

# %%
out = Path("digits")
out.mkdir(exist_ok=True)
names = results.explainers
figure = panel([results.maps[name][0] for name in names], names, pictures=[results.inputs[0]] * len(names))
figure.savefig(out / "maps.png", dpi=120)
report = pnpxai.write_report(results, out / "report.html")
print(f"written: {out / 'maps.png'}, {report}")
