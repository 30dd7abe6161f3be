"""Attributors against captum, side by side in one run: the same work, both times, and how far the results are apart.

    python benchmarks/attributors.py [--device cuda] [--quick] [--only NAME] [--repeats 3]

The model is ResNet-18 on four pictures of 224 x 224 (64 x 64 with --quick). On a CPU, times are CPU seconds of one
thread, on a GPU seconds; the two libraries take turns, and the best of several runs counts. Peak memory is what a call
adds to that of a fresh process. Where captum has a chunk size, its default and its fastest are both shown. For methods
that draw random numbers, the difference of results says only that both are estimates of the same thing: it is given as
the mean over values, relative to their mean size.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.util
import json
import resource
import subprocess
import sys
import warnings
from dataclasses import dataclass
from typing import Any

import captum.attr
import torch
import torchvision
from measuring import Run, timed
from torch import Tensor

import pnpxai.attributors


@dataclass(frozen=True)
class Work:
    """One claim: the same work of both libraries.

    Attributes:
        name: what it is called, also on the command line.
        goal: how many times faster it should be.
        ours: this package's way.
        theirs: captum's ways, by what tells them apart; the first is its default.
        sampled: whether random numbers are drawn.
        memory: whether to measure the peak too.
        rival: who the others belong to.
        needs: a library that only ``rivals.sh`` installs, if any.
    """

    name: str
    goal: float | None
    ours: Run
    theirs: dict[str, Run]
    sampled: bool = False
    memory: bool = False
    rival: str = "captum"
    needs: str | None = None


class Decoder(torch.nn.Module):
    """Seven layers, 512 wide, of attention to what came before; (examples, tokens, 512) to (examples, 100)."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(512) for _ in range(14))
        self.into = torch.nn.ModuleList(torch.nn.Linear(512, width) for _ in range(7) for width in (1536, 2048))
        self.out = torch.nn.ModuleList(torch.nn.Linear(width, 512) for _ in range(7) for width in (512, 2048))
        self.head = torch.nn.Linear(512, 100)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores of the last token."""
        for k in range(0, 14, 2):
            q, k_, v = self.into[k](self.norms[k](x)).unflatten(-1, (3, 8, 64)).movedim(2, 0).transpose(2, 3)
            attended = torch.nn.functional.scaled_dot_product_attention(q, k_, v, is_causal=True)
            x = x + self.out[k](attended.transpose(1, 2).flatten(2))
            x = x + self.out[k + 1](torch.nn.functional.gelu(self.into[k + 1](self.norms[k + 1](x))))
        return self.head(x[:, -1])


def relevance_of_a_decoder(device: torch.device, tokens: int) -> Work:
    """Return the claim that relevance through attention costs little more than a gradient of the same network."""
    model = Decoder().eval().requires_grad_(False).to(device)
    x = torch.randn(1, tokens, 512, device=device)

    def gradient() -> Tensor:
        leaf = x.clone().requires_grad_()
        return torch.autograd.grad(model(leaf)[:, 3].sum(), leaf)[0] * x

    def ours() -> Tensor:
        return pnpxai.attributors.LRP(model).attribute(x, target=3)

    name = f"relevance-{tokens}-tokens"
    return Work(name, 0.67, ours, {"forward and backward": gradient}, sampled=True, memory=True, rival="torch")


def relevance_of_a_llama(device: torch.device, tokens: int) -> Work:
    """Return the claim that relevance takes no more than one and a half times as long as lxt's, with its values."""

    @functools.cache  # made where it is run: transformers takes seconds to import
    def made() -> tuple[Any, torch.nn.Module, Tensor]:
        import llama_relevance

        model = llama_relevance.Llama().eval().requires_grad_(False).to(device)
        return llama_relevance, model, torch.randn(1, tokens, 512, device=device)

    def run(way: str) -> Any:
        module, model, x = made()
        return getattr(module, way)(model, x)

    ways = {"efficient": lambda: run("theirs"), "plain gradient": lambda: run("gradient")}
    name = f"lxt-{tokens}-tokens"
    return Work(name, 0.67, lambda: run("ours"), ways, sampled=True, memory=True, rival="lxt", needs="lxt")


def works(device: torch.device, quick: bool) -> list[Work]:
    """Return all claims."""
    torch.manual_seed(0)
    side = 64 if quick else 224
    model = torchvision.models.resnet18(weights=None).eval().to(device)
    x = torch.randn(4, 3, side, side, device=device)
    zero, few = torch.zeros_like(x), torch.randn(3, 3, side, side, device=device)
    targets = [0, 1, 2, 3]
    steps, samples, grid = (8, 4, 2) if quick else (32, 20, side // 32)
    mask = torch.arange(grid * grid, device=device).reshape(1, 1, grid, grid)
    window = {"sliding_window_shapes": (3, 32, 32), "strides": (3, 16, 16)}

    def both(name: str, *made: Any, **given: Any) -> tuple[Run, Run]:
        def run(library: Any, more: dict[str, Any]) -> Any:
            return getattr(library, name)(model, *made).attribute(x, **(given | more))

        return (lambda: run(pnpxai.attributors, {})), (lambda **more: run(captum.attr, more))

    def noisy(library: Any, **more: Any) -> Any:
        tunnel = library.NoiseTunnel(library.Saliency(model))
        return tunnel.attribute(x, nt_samples=samples, stdevs=0.2, target=targets, **more)

    found: list[Work] = []
    ours, theirs = both("LayerFeatureAblation", model.layer4, layer_mask=mask, target=0)
    found.append(
        Work("ablation-layer4", 20, ours, {"default": theirs, "2 groups": _at(theirs, perturbations_per_eval=2)})
    )
    for name, layer, goal in (
        ("layer4", model.layer4, 10),
        ("layer3", model.layer3, 2.5),
        ("layer2", model.layer2, None),
    ):
        ours, theirs = both("LayerIntegratedGradients", layer, baselines=zero, target=targets, n_steps=steps)
        found.append(
            Work(f"integrated-{name}", goal, ours, {"default": theirs, "16 rows": _at(theirs, internal_batch_size=16)})
        )
    ours, theirs = both(
        "LayerGradientShap",
        model.layer4,
        baselines=few,
        n_samples=5,
        stdevs=0.1,
        target=targets,
        return_convergence_delta=True,
    )
    found.append(Work("gradient-shap-layer4", 2, ours, {"default": theirs}, sampled=True))
    ours, theirs = both(
        "LayerConductance", model.layer3, baselines=zero, target=targets, n_steps=steps, method="riemann_trapezoid"
    )
    found.append(
        Work("conductance-layer3", None, ours, {"default": theirs, "16 rows": _at(theirs, internal_batch_size=16)})
    )
    ours, theirs = both("LayerActivation", model.conv1)
    found.append(Work("activation-conv1", None, ours, {"default": theirs}))
    found.append(
        Work(
            f"noise-tunnel-{samples}",
            1.3,
            lambda: noisy(pnpxai.attributors),
            {
                "default": lambda: noisy(captum.attr),
                "1 sample": lambda: noisy(captum.attr, nt_samples_batch_size=1),
                "2 samples": lambda: noisy(captum.attr, nt_samples_batch_size=2),
            },
            sampled=True,
            memory=True,
        )
    )
    ours, theirs = both("Occlusion", target=targets, **window)
    found.append(Work("occlusion", 1.2, ours, {"default": theirs, "2 windows": _at(theirs, perturbations_per_eval=2)}))
    for count in (20, 200):
        ours, theirs = both(
            "IntegratedGradients", baselines=zero, target=targets, n_steps=count // (10 if quick else 1)
        )
        ways = {"16 rows": _at(theirs, internal_batch_size=16)}
        found.append(Work(f"integrated-inputs-{count}", None, ours, ways, memory=True))
    found += [relevance_of_a_decoder(device, tokens) for tokens in ((64,) if quick else (256, 2048))]
    found += [relevance_of_a_llama(device, tokens) for tokens in ((64,) if quick else (256, 2048))]
    return found


def _at(run: Any, **more: Any) -> Run:
    return lambda: run(**more)


def peak(run: Run, device: torch.device) -> float:
    """Return how many MiB a run adds to the peak of this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            run()
            return (torch.cuda.max_memory_allocated() - before) / 2**20
        with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # Linux: forget the peak so far, which importing may have set
        before_kib = _high_water()
        run()
        return (_high_water() - before_kib) / 1024


def _high_water() -> float:
    """Return the peak memory of this process in KiB (its resource usage would count its parent's too)."""
    try:
        with open("/proc/self/status") as file:
            return next(float(line.split()[1]) for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)


def flat(result: Any) -> list[Tensor]:
    """Return the tensors of a result."""
    return [t for m in result for t in flat(m)] if isinstance(result, (tuple, list)) else [result.detach()]


def apart(ours: Any, theirs: Any, sampled: bool) -> str:
    """Say how far two results are from each other."""
    pairs = list(zip(flat(ours), flat(theirs), strict=True))
    if sampled:
        a, b = (m.double() for m in pairs[0])
        return f"mean {float((a - b).abs().mean() / b.abs().mean()):.1%} of size"
    return f"max {max(float((a - b).abs().max()) for a, b in pairs):.1e}"


def report(work: Work, device: torch.device, repeats: int, argv: list[str]) -> None:
    """Measure one claim and print it."""
    if work.needs is not None and importlib.util.find_spec(work.needs) is None:
        print(f"\n{work.name}: left out, {work.needs} is missing; benchmarks/rivals.sh attributors.py brings it")
        return
    best: dict[str, float] = {}
    results: dict[str, Any] = {}
    runs = {"ours": work.ours} | work.theirs
    for _ in range(repeats):
        for name, run in runs.items():
            seconds, results[name] = timed(run, device)
            best[name] = min(seconds, best.get(name, seconds))
    memory = {name: _in_a_process(work.name, name, argv) for name in runs} if work.memory else {}
    default, fastest = next(iter(work.theirs)), min(work.theirs, key=lambda name: best[name])
    print(
        f"\n{work.name}: {best[fastest] / best['ours']:.2f} times as fast as {work.rival}'s fastest ({fastest}), ",
        end="",
    )
    print(f"{best[default] / best['ours']:.2f} times its {default}", end="")
    print(f"; goal {work.goal}" if work.goal else "")
    for name in runs:
        more = f"{memory[name]:9.0f} MiB" if memory else ""
        who = "pnpxai" if name == "ours" else f"{work.rival}, {name}"
        off = "" if name == "ours" else f"   {apart(results['ours'], results[name], work.sampled)}"
        print(f"  {who:<28}{best[name]:9.3f} s{more}{off}", flush=True)


def _in_a_process(work: str, name: str, argv: list[str]) -> float:
    command = [sys.executable, __file__, *argv, "--only", work, "--peak", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="small pictures, few steps")
    parser.add_argument("--only", default="", help="only claims whose name holds this")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peak", default=None, help=argparse.SUPPRESS)
    given = parser.parse_args()
    device = torch.device(given.device)
    torch.set_num_threads(1)
    chosen = [work for work in works(device, given.quick) if given.only in work.name]
    if given.peak is not None:
        (work,) = [work for work in chosen if work.name == given.only]
        run = work.ours if given.peak == "ours" else work.theirs[given.peak]
        print(json.dumps(peak(run, device)))
        return
    argv = ["--device", given.device, *(["--quick"] if given.quick else [])]
    print(f"torch {torch.__version__}, captum {captum.__version__}, {device}, best of {given.repeats}")
    for work in chosen:
        report(work, device, given.repeats, argv)


if __name__ == "__main__":
    main()
