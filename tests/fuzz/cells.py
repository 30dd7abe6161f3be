"""One explainer on one generated network: what must hold, or a refusal that says why."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch

from pnpxai.declare.registry import every
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.errors import RuleError, UnsuitableError
from pnpxai.explainers.base import Explainer
from pnpxai.testing.lending import check_nothing_left
from pnpxai.testing.results import check_alone_as_in_a_batch, check_form
from pnpxai.testing.subject import Subject, require
from pnpxai.testing.zoo import Case
from tests.failures import Failures
from tests.fuzz.architectures import architecture
from tests.laws import Law, gradients, laws_of, perturbation, promises_a_sum, relevance
from tests.laws.refusals import reason_against
from tests.laws.trial import Trial

__all__ = ["EXPLAINERS", "Outcome", "run_cell"]

EXPLAINERS = [explainer for explainer in every(Explainer, within="pnpxai.") if not explainer.control]
ORACLES = (gradients, perturbation, relevance)
"""Whose laws need no knowledge of the architecture."""
CONVERGING = ("IntegratedGradients", "GradientShap")
"""Whose sums come closer with their settings, so that no bound holds on every network."""
TRIES = 20
"""Networks that are drawn before a cell is given up."""


@dataclass(frozen=True)
class Outcome:
    """What came of a cell.

    Attributes:
        explainer: its name.
        network: the generated network's seed and kind.
        refused: why the explainer does not fit, if it says so.
    """

    explainer: str
    network: str
    refused: str | None = None


def run_cell(seed: int) -> Outcome:
    """Draw a network and an explainer, and hold the explainer to its promises on the network.

    Raises:
        ExceptionGroup: what does not hold; the message names explainer, network and seed.
    """
    draw = random.Random(f"cell {seed}")
    explainer = draw.choice(EXPLAINERS)
    case = network(draw.randrange(10**9))
    return judge_cell(explainer, case)


def network(seed: int) -> Case:
    """Return the first network from a seed on whose outputs can be told apart."""
    for k in range(TRIES):
        try:
            return architecture(seed + k)
        except (ValueError, RuntimeError):  # a picture may be smaller than the padding that reflects it
            continue
    raise ValueError(f"none of the networks of seeds {seed} to {seed + TRIES - 1} can be calibrated")


def judge_cell(explainer: type[Explainer], case: Case) -> Outcome:
    """Hold an explainer to its promises on a network."""
    name = explainer.__name__
    if (reason := reason_against(explainer, case)) is not None:
        return Outcome(name, case.name, reason)
    trial = Trial(explainer, case)
    try:
        trial.maps  # noqa: B018  (computed on first use)
    except (RuleError, UnsuitableError) as error:
        return Outcome(name, case.name, str(error))
    except Exception as error:
        raise ExceptionGroup(f"{name} on {case.name}: {type(error).__name__}: {error}", [error]) from error
    failures = Failures(f"{name} on {case.name}")
    subject = Subject.of_explainer(explainer, case, **Trial.settings(explainer))
    for check in (check_form, check_alone_as_in_a_batch, check_nothing_left, check_single_precision):
        failures.run(check, subject, case)
    for law in laws_of(explainer):
        if (
            law.on is None
            and not (law.sums and name in CONVERGING)
            and any(law.measure is getattr(oracle, law.measure.__name__, None) for oracle in ORACLES)
        ):
            failures.run(check_law, trial, law)
    if promises_a_sum(explainer) and name not in CONVERGING:
        failures.run(check_gap, trial)
    failures.end()
    return Outcome(name, case.name)


def check_single_precision(subject: Subject, case: Case) -> None:
    """In float32 the maps are those in float64, as far as that goes."""
    draws = RandomStream(0, tuple(map(str, range(len(case)))))  # else they go by content, which the dtype changes
    single, exact = subject.run(case.to(torch.float32), draws), subject.run(case, draws)
    scale = max(float(maps.abs().max()) for maps in exact)
    if scale < 1e-12:  # such as the variance of a linear network's gradients
        return
    off = max(float((a.double() - b).abs().max()) for a, b in zip(single, exact, strict=True))
    require(off <= 1e-2 * scale, "single precision", f"off by {off / scale:.2g} of the largest")


def check_law(trial: Trial, law: Law) -> None:
    """A law that is computed in plain torch."""
    figure = law.measure(Trial(trial.explainer, trial.case, law.changes))
    require(figure <= max(law.limit, 1e-6), law.title, f"off by {figure:.2g}")


def check_gap(trial: Trial) -> None:
    """The maps (and what went elsewhere) sum to what they promise."""
    explanation = trial.made.explain(trial.case.inputs, trial.case.targets)
    scale = torch.maximum(explanation.scores.abs(), trial.difference.abs())
    gap = float((explanation.gap.abs() / scale).max())
    require(gap < 1e-5, "gap", f"{gap:.2g} of the score")
