"""What tuning costs: rows that trials share, and the same trials by PnPXAI 0.1.4, side by side in one run.

    python benchmarks/tuning.py [--original PYTHON] [--quick] [--only rows|explainers|original] [--device cpu]

Rows: 50 random trials of SmoothGrad against AbPC, and 8 explainers x 10 trials against FaithfulnessCorrelation, on a
small convolutional network and digits; next to what separate evaluations run, with the largest difference of values.
The original: 10 trials of SmoothGrad and LRPEpsilonPlus against AbPC on one picture of 224 x 224 and ResNet-18 (64 x 64
with --quick); PYTHON is that of an environment with pnpxai==0.1.4 (two packages of one name cannot be loaded together).
Times are CPU seconds of one thread. The settings of the original's trials are tried here again, after the default,
which is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import optuna
import torch
import torchvision
from optuna.trial import FixedTrial

from pnpxai.demo import digits, train
from pnpxai.examples import Examples
from pnpxai.metrics.evaluation import evaluate
from pnpxai.metrics.faithfulness.correlation import FaithfulnessCorrelation
from pnpxai.metrics.faithfulness.flipping import AbPC
from pnpxai.metrics.selection import as_candidates, as_explainer
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.traits import Traits
from pnpxai.tuning import TuningResult, tune
from pnpxai.tuning.space.space import Space
from pnpxai.tuning.trials.shared_runs import Shared

IMAGE = Traits.image()
EIGHT = ("Gradient", "GradientXInput", "GuidedBackprop", "DeepLift", "LRPUniformEpsilon", "SmoothGrad",
         "IntegratedGradients", "GradCam")  # fmt: skip


class Again(optuna.samplers.BaseSampler):
    """Suggests what was suggested before; the first trial is the default."""

    def __init__(self, trials: list[dict[str, Any]]) -> None:
        self.trials = trials

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return {}

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return {}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        return self.trials[trial.number - 1][param_name]


def of_digits(device: str, count: int) -> tuple[torch.nn.Module, Examples]:
    """Return a trained network and examples, in double precision, so that ranks do not hang on rounding."""
    training, (pictures, _) = digits(0)
    model = train(*training, 0, show_progress=False).double().to(device)
    x = pictures[:count].double().to(device)
    with torch.no_grad():
        targets = model(x).argmax(1)
    return model, Examples.of([(x, targets, None)])


def rows(device: str, quick: bool) -> None:
    """50 trials of SmoothGrad against AbPC, random sampler, seeds 0 to 4."""
    print("50 trials of SmoothGrad against AbPC, random settings")
    model, examples = of_digits(device, 8 if quick else 16)
    explainer, metric = as_explainer("SmoothGrad", model), AbPC(model)
    space = Space(tuple(as_candidates([explainer], model, IMAGE)), IMAGE)
    used = separate = 0
    for seed in range(1 if quick else 5):
        part, _ = examples.split(0.5, seed)
        result = tune(
            explainer, examples, metric, traits=IMAGE, n_trials=50, sampler="random", seed=seed, prune=False, n_seeds=0,
            show_progress=False,
        )  # fmt: skip
        assert result.rows is not None
        checked = f"values differ by {_gap(result, space, metric, part, seed):.1e}"
        print(f"  seed {seed}: {result.rows}, {checked}", flush=True)
        used, separate = used + result.rows.used, separate + result.rows.separate
    print(f"  all seeds: {used / separate:.2f} of separate evaluations; goal 0.65")


def _gap(result: TuningResult, space: Space, metric: Any, part: Examples, seed: int) -> float:
    gaps = [0.0]
    for trial in result.study.trials:
        alone = evaluate(space.suggest(FixedTrial(trial.params)), metric, part, seed).array()  # type: ignore[arg-type]
        gaps.append(abs(float(alone.mean()) - float(trial.value)))
    return max(gaps)


def explainers(device: str, quick: bool) -> None:
    """8 explainers x 10 trials against FaithfulnessCorrelation."""
    print("8 explainers x 10 trials against FaithfulnessCorrelation")
    model, examples = of_digits(device, 8 if quick else 16)
    shared = Shared()
    used = separate = 0
    for name in EIGHT:
        result = tune(
            as_explainer(name, model), examples, FaithfulnessCorrelation(model), traits=IMAGE, n_trials=10, prune=False,
            n_seeds=0, shared=shared, show_progress=False,
        )  # fmt: skip
        assert result.rows is not None
        used, separate = used + result.rows.used, separate + result.rows.separate
        print(f"  {name}: {result.rows}", flush=True)
    print(f"  all: {used / separate:.2f} of separate evaluations; goal 0.20")


def original(python: str | None, quick: bool) -> None:
    """10 trials of PnPXAI 0.1.4 and the same ones here, on one picture."""
    if python is None or not Path(python).exists():
        print("PnPXAI 0.1.4: left out; give --original PYTHON of an environment with pnpxai==0.1.4")
        return
    side = 64 if quick else 224
    torch.manual_seed(0)
    model = torchvision.models.resnet18().eval()
    x = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        targets = model(x).argmax(1)
    examples = Examples.of([(x, targets, None)])
    seed = next(s for s in range(99) if examples.split(0.5, s)[0].keys == examples.keys[:1])
    for name in ("SmoothGrad", "LRPEpsilonPlus"):
        script = Path(__file__).with_name("tuning_original.py")
        ran = subprocess.run(
            [python, script, name, str(side)], capture_output=True, text=True, check=False, cwd="/",
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        line = next((text for text in ran.stdout.splitlines() if text.startswith("RESULT ")), None)
        if line is None:
            print(f"  {name}: PnPXAI 0.1.4 failed: {ran.stderr.strip().splitlines()[-1:]}")
            continue
        theirs = json.loads(line.removeprefix("RESULT "))
        trials = [{"postprocessor.normalization_fn.method": "identity"} | trial for trial in theirs["trials"]]
        explainer, metric = as_explainer(name, model), AbPC(model)
        end = list[float]()

        def note(*_: Any, end: list[float] = end) -> None:
            end.append(time.process_time())

        result = tune(
            explainer, examples, metric, traits=IMAGE, n_trials=1 + len(trials), sampler=Again(trials), seed=seed,
            postprocessor=PostProcessor(), n_seeds=0, callbacks=[note],
            show_progress=False,
        )  # fmt: skip
        seconds = end[-1] - end[0]
        ratio = theirs["seconds"] / seconds
        print(
            f"  {name}: {theirs['seconds']:.1f} CPU-s there, {seconds:.1f} here: {ratio:.1f}x; goal 3x ({result.rows})",
            flush=True,
        )


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--original", help="python of an environment with pnpxai==0.1.4")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=("rows", "explainers", "original"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    parts = {
        "rows": lambda: rows(given.device, given.quick),
        "explainers": lambda: explainers(given.device, given.quick),
        "original": lambda: original(given.original, given.quick),
    }
    for name, run in parts.items():
        if given.only in (None, name):
            run()


if __name__ == "__main__":
    main()
