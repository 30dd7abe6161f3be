"""Ten trials of PnPXAI 0.1.4, in an environment of its own: what benchmarks/tuning.py starts."""

import json
import sys
import time
import warnings

import torch
import torchvision

warnings.simplefilter("ignore")
torch.set_num_threads(1)

from pnpxai.core.modality import ImageModality  # noqa: E402  # pyright: ignore
from pnpxai.evaluator.metrics import AbPC  # noqa: E402  # pyright: ignore
from pnpxai.evaluator.optimizer import Objective, optimize  # noqa: E402  # pyright: ignore

from pnpxai.explainers import LRPEpsilonPlus, SmoothGrad  # noqa: E402  # pyright: ignore

name, side = sys.argv[1], int(sys.argv[2])
torch.manual_seed(0)
model = torchvision.models.resnet18().eval()
x = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))[:1]
target = model(x).argmax(1).detach()
modality = ImageModality(channel_dim=1)
explainer = {"SmoothGrad": SmoothGrad, "LRPEpsilonPlus": LRPEpsilonPlus}[name](model=model)
objective = Objective(
    explainer, modality.get_default_postprocessors()[0], AbPC(model=model), modality, inputs=x, targets=target
)
start = time.process_time()
study = optimize(objective, direction="maximize", sampler="tpe", n_trials=10, seed=0)
seconds = time.process_time() - start
trials = [trial.params for trial in study.trials]
values = [trial.value for trial in study.trials]
print("RESULT " + json.dumps({"seconds": seconds, "trials": trials, "values": values}))
