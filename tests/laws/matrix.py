"""Explainers against architectures: what was measured in a cell, or why there is nothing to measure."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from pnpxai.errors import UnsuitableError
from pnpxai.explainers.base import Explainer
from pnpxai.testing.results import check_says_something
from pnpxai.testing.subject import Broken, Subject
from pnpxai.testing.zoo import Case
from tests.laws import Finding, judge
from tests.laws.refusals import allowed, reason_against, shown
from tests.laws.trial import Trial

__all__ = ["Cell", "cell", "spoken_for"]


@dataclass(frozen=True)
class Cell:
    """An explainer on an architecture.

    Attributes:
        findings: what was measured of each of its laws.
        refused: the explainer's reason against the model, if it has one.
        shown: what goes wrong without the refusal.
    """

    findings: tuple[Finding, ...] = ()
    refused: str | None = None
    shown: str | None = None


def cell(explainer: type[Explainer], case: Case) -> Cell:
    """Run an explainer on a case: its laws hold and its maps say something, or its refusal is shown to be true.

    Raises:
        Broken: a law does not hold, maps are constant or all alike, or a refusal is not allowed or not true.
        LookupError: the explainer has no law.
    """
    reason = reason_against(explainer, case)
    if reason is None and allowed(explainer, case.name):
        try:  # before it computes anything, but not before it has seen the model run
            Trial(explainer, case).maps  # noqa: B018  (computed on first use)
        except UnsuitableError as error:
            reason = str(error)
    if reason is not None:
        return Cell(refused=reason, shown=shown(explainer, case, reason))
    findings = tuple(judge(explainer, case))
    for finding in findings:
        if not finding.holds:
            raise Broken(
                f"{explainer.__name__} on {case.name}: {finding.law.title}: off by {finding.figure:.2g}, "
                f"at most {finding.law.limit:.2g} is allowed"
            )
    if not findings:
        raise Broken(f"{explainer.__name__} on {case.name}: none of its laws speaks of this model")
    changes = dict(findings[0].law.changes)
    subject = Subject.of_explainer(explainer, case, **(Trial.settings(explainer) | changes))
    check_says_something(subject, spoken_for(subject, case) if explainer.rectified else case)
    return Cell(findings)


def spoken_for(subject: Subject, case: Case) -> Case:
    """Return the case with, for each example, the first output whose map is not zero everywhere."""
    loud = [
        torch.stack([m.flatten(1).any(1) for m in subject.run(case, targets=[t] * len(case))]).any(0)
        for t in range(case.outputs)
    ]
    return replace(case, targets=torch.stack(loud).int().argmax(0).tolist())
