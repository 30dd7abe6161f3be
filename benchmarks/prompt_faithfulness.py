"""How faithful methods and rivals are on ten prompts of a trained model, at equal numbers of forward passes.

    python benchmarks/language.py --model FOLDER --faithfulness
    PYTHONPATH=. benchmarks/rivals.sh language.py --model FOLDER --faithfulness      # with lxt

Prompts have 3 to 21 sentences, and a question about one of them, which is held; units are sentences, the response is
what the model writes. captum's ``LLMAttribution`` gets the same sentences as a template; ContextCite's estimator is
written from its paper (Cohen-Wang et al., 2024: Lasso with penalty 0.01 on the logit of the probability per token);
lxt's rules give the relevance of the response's logits. Each measure is the mean over prompts of what really removing
sentences shows, with an interval of its difference to leave-one-out.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import captum.attr
import numpy as np
import pandas as pd
import torch
from measuring import timed
from torch import Tensor

import pnpxai
from pnpxai.auto.generation.faithfulness import faithfulness
from pnpxai.auto.generation.task import Task
from pnpxai.statistics import bootstrap

PLACES = (
    "mill barn church school bakery harbour library smithy inn tower market bridge garden well chapel forge".split()
)
OWNERS = "Anna Bruno Clara David Emma Felix Greta Henry Irene Jonas Karla Louis Maria Nils Olga Peter".split()
COLOURS = "red blue green white black yellow grey brown".split()


def prompt_of(number: int) -> pnpxai.Sources:
    """Return a prompt of a number of sentences, and a question about one of them."""
    draw, count = random.Random(number), 3 + 2 * number
    places, owners = draw.sample(PLACES, min(count, 16)), draw.sample(OWNERS, 16)
    facts = [f"{owners[k % 16]} painted the {p} {draw.choice(COLOURS)}. " for k, p in enumerate(places)]
    facts += [f"{owners[k % 16]} has lived in the village for {draw.randint(2, 60)} years. " for k in range(count - 16)]
    draw.shuffle(facts)
    question = f"Question: what colour is the {draw.choice(places)}? Answer: the colour is"
    return pnpxai.Sources(question, facts, text="{sources}{question}")


def contextcite(task: Task, passes: int) -> Tensor:
    """Return the estimator of the paper."""
    from sklearn.linear_model import Lasso

    count, draw = len(task.players), np.random.default_rng(0)
    present = draw.random((passes, count)) < 0.5
    log_p = task.scores(torch.tensor(present))[:, 0].clamp_max(-1e-9).numpy()
    y = (log_p - np.log(-np.expm1(log_p))) / len(task.response.ids)
    spread = present.std(0)
    spread[spread == 0] = 1
    fit = Lasso(alpha=0.01).fit((present - present.mean(0)) / spread, y)
    return torch.tensor(fit.coef_ / spread)[None]


def by_captum(model: Any, tokenizer: Any, name: str, **more: Any) -> Callable[[Task], Tensor]:
    def values(task: Task) -> Tensor:
        text, cursor, pieces = task.prompt.text, 0, []
        for unit in task.prompt.units:
            pieces.append(text[cursor : unit.span[0]].replace("{", "{{") + "{}")
            cursor = unit.span[1]
        units = [text[slice(*unit.span)] for unit in task.prompt.units]
        given = captum.attr.TextTemplateInput("".join(pieces) + text[cursor:], units, baselines=[""] * len(units))
        attribution = captum.attr.LLMAttribution(getattr(captum.attr, name)(model), tokenizer)
        result = attribution.attribute(given, task.response.ids, forward_in_tokens=False, **more)
        return result.seq_attr[None].double()

    return values


def by_lxt(task: Task) -> Tensor:
    import llama_relevance

    with llama_relevance.patched():
        (x,) = task.point()
        leaf = x.clone().requires_grad_()
        (found,) = torch.autograd.grad(task.embedded(leaf).sum(), leaf)
    return task.by_player([found * x])[0]


def faithfulness_table(model: Any, tokenizer: Any, count: int, passes: int) -> pd.DataFrame:
    """Return a row for each prompt, method and measure."""
    prompts = [prompt_of(k) for k in range(count)]
    auto = pnpxai.AutoExplanationForGeneration(
        model, tokenizer, prompts, response_units="response", generate={"max_new_tokens": 6}
    )
    logits = pnpxai.AutoExplanationForGeneration(
        model, tokenizer, prompts, [r.ids for r in auto.responses], response_units="response", score="logit",
    )  # fmt: skip

    def ours(name: str, **settings: Any) -> Callable[[Task], Tensor]:
        return lambda task: auto._method(name, settings).values(task).values

    runs: dict[str, tuple[Callable[[Task], Tensor], Any]] = {
        "LeaveOneOut": (ours("LeaveOneOut"), auto),
        "ShapleyValues": (ours("ShapleyValues", n_samples=passes), auto),
        "ContextCite": (ours("ContextCite", n_samples=passes - 1), auto),
        "AttnLRP": (ours("AttnLRP"), logits),
        "GradientXInput": (ours("GradientXInput"), auto),
        "captum FeatureAblation": (by_captum(model, tokenizer, "FeatureAblation"), auto),
        "captum KernelShap": (by_captum(model, tokenizer, "KernelShap", n_samples=passes), auto),
        "captum ShapleyValueSampling": (by_captum(model, tokenizer, "ShapleyValueSampling", n_samples=2), auto),
        "ContextCite as published": (lambda task: contextcite(task, passes), auto),
        "Position": (ours("Position"), auto),
    }
    try:
        import lxt  # type: ignore[import-not-found]  # noqa: F401

        runs["lxt"] = (by_lxt, logits)
    except ImportError:
        pass
    records = []
    for number in range(len(prompts)):
        judge = auto.task(number)
        for name, (run, source) in runs.items():
            task = source.task(number)
            seconds, values = timed(lambda run=run, task=task: run(task), torch.device("cpu"))
            measured = faithfulness(judge, values.detach().double(), k=(1, 3), n_ablations=16)
            records += [
                {"prompt": number, "tokens": len(judge.prompt.ids), "method": name, "measure": m, "value": float(v),
                 "rows": task.rows, "seconds": seconds} for m, v in measured.items()
            ]  # fmt: skip
        print(f"prompt {number}: {len(judge.prompt.ids)} tokens, {len(judge.players)} sentences", flush=True)
    return pd.DataFrame(records)


def report(frame: pd.DataFrame) -> str:
    """Return means, and intervals of differences to leave-one-out."""
    lines = []
    costs = frame.groupby("method")[["rows", "seconds"]].mean().round(2)
    for measure, of in frame.groupby("measure"):
        wide = of.pivot(index="prompt", columns="method", values="value").dropna()
        lines.append(f"{measure} ({len(wide)} prompts)")
        for name in wide.mean().sort_values(ascending=False).index:
            gain = bootstrap((wide[name] - wide["LeaveOneOut"]).to_numpy())
            lines.append(
                f"  {name:30} {wide[name].mean():+.3f}   less LeaveOneOut {gain.mean:+.3f} "
                f"[{gain.low:+.3f}, {gain.high:+.3f}]   {costs.seconds[name]:.1f} CPU s"
            )
    return "\n".join(lines)
