"""What every explainer is held to on a case, besides the contracts that ``pnpxai.testing`` ships.

``check`` declares a function of (explainer, case) and says on which cases it is run. ``at_layers``, ``batches`` and
``explanations`` hold such functions; ``tests/explainers/test_sweep.py`` runs all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.laws.trial import MEMBERS

FEWER = {
    "n_iter": 3, "n_steps": 4, "n_samples": 8, "window": 1 / 4, "stride": 1 / 4, "n_masks": 20, "explainers": MEMBERS,
}  # fmt: skip


@dataclass(frozen=True)
class Check:
    """Something that holds of an explainer on some cases."""

    run: Callable[[Any, Any], None]
    on: tuple[str, ...]
    of: Callable[[Any], bool]


DECLARED: list[Check] = []


def check(*on: str, of: Callable[[Any], bool] = lambda explainer: True) -> Callable[[Any], Any]:
    """Declare a check that is run on these cases for the explainers of which ``of`` is true."""

    def declare(run: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
        DECLARED.append(Check(run, on, of))
        return run

    return declare


def checks_on(name: str, explainer: type) -> Iterator[Callable[[Any, Any], None]]:
    """Yield the checks of an explainer on a case."""
    yield from (one.run for one in DECLARED if name in one.on and one.of(explainer))


def made(explainer, model, *arguments, **settings):
    """Return the explainer with cheap settings."""
    fewer = {name: value for name, value in FEWER.items() if name in explainer._fields}
    return explainer(model, *arguments, **(fewer | settings))
