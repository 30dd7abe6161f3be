"""How settings are chosen: Optuna's samplers by name, each trial's with a seed of its own."""

from __future__ import annotations

import importlib.util
import itertools
from dataclasses import dataclass
from typing import TypeAlias

from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, QMCSampler, RandomSampler, TPESampler

from pnpxai.engine.running.seeds import draws, seed_of
from pnpxai.errors import ArgumentError, MissingExtraError, did_you_mean
from pnpxai.tuning.space.parameters import Parameters
from pnpxai.tuning.space.space import Space

__all__ = ["SAMPLERS", "SamplerSpec", "Sampling"]

SAMPLERS = ("auto", "tpe", "random", "grid", "brute_force", "gp", "cma-es", "qmc")
SamplerSpec: TypeAlias = str | BaseSampler
"""A name, or an Optuna sampler (which is used as it is, so that a resumed run need not equal an uninterrupted one)."""

_POINTS = 5
_MOST = 100_000


@dataclass(frozen=True)
class Sampling:
    """A sampler for every trial.

    What a trial suggests depends on the seed, the trial's number and the trials that are finished, and on nothing else:
    so a run that was interrupted goes on as if it had not been.

    Attributes:
        kind: one of ``SAMPLERS``, or a sampler.
        seed: fixes all draws.
    """

    kind: SamplerSpec
    seed: int

    @classmethod
    def of(cls, spec: SamplerSpec, space: Space, n_trials: int | None, seed: int, objectives: int) -> Sampling:
        """Check a sampler against what is searched; "auto" becomes brute force where trials cover all, else TPE.

        Raises:
            ArgumentError: nothing is called so, or it cannot search this.
            MissingExtraError: it needs a library that is not installed.
        """
        if isinstance(spec, BaseSampler):
            return cls(spec, seed)
        if not isinstance(spec, str) or spec not in SAMPLERS:
            if isinstance(spec, str):
                raise ArgumentError(f"sampler: no sampler {spec!r}{did_you_mean(spec, SAMPLERS)}")
            raise ArgumentError(f"sampler: expected a name such as 'tpe', or a sampler of Optuna, got {spec!r}")
        if spec == "auto":
            spec = "brute_force" if n_trials is not None and space.size() <= n_trials else "tpe"
        if spec == "brute_force" and space.size() > _MOST:
            raise ArgumentError(
                f"sampler: brute force over {space.size()} configurations would not end; "
                "sampler='grid' takes a few points of each range without steps"
            )
        if spec == "cma-es":
            if objectives > 1:
                raise ArgumentError("sampler: cma-es follows one metric; of several, tpe or gp find the Pareto front")
            if importlib.util.find_spec("cmaes") is None:
                raise MissingExtraError("sampler='cma-es' needs cmaes: pip install 'pnpxai[cmaes]'")
        return cls(spec, seed)

    @property
    def enumerates(self) -> bool:
        """Whether the trials are known beforehand."""
        return self.kind in ("grid", "brute_force")

    def planned(self, space: Space, n_trials: int | None) -> list[Parameters]:
        """Return the parameters of an enumerating sampler's trials: all, or so many of them, in random order."""
        points = _POINTS if self.kind == "grid" else None
        count = int(min(space.size(points), 2**53))
        wanted = count if n_trials is None else min(n_trials, count)
        numbers = _drawn(count, wanted, self.seed)
        return [space.configuration(number, points) for number in numbers]

    def sampler(self, number: int, *, several_workers: bool) -> BaseSampler:
        """Return the sampler of a trial."""
        if isinstance(self.kind, BaseSampler):
            return self.kind
        seed = seed_of(self.seed, "trial", number) % 2**32
        free = RandomSampler(seed=seed)
        if self.kind in ("random", "grid", "brute_force"):
            return free
        if self.kind == "gp":
            return GPSampler(seed=seed, independent_sampler=free, warn_independent_sampling=False)
        if self.kind == "cma-es":
            return CmaEsSampler(seed=seed, independent_sampler=free, warn_independent_sampling=False)
        if self.kind == "qmc":  # one sequence for all trials
            return QMCSampler(
                seed=self.seed % 2**32, scramble=True, independent_sampler=free, warn_independent_sampling=False
            )
        return TPESampler(
            seed=seed, multivariate=True, group=True, n_startup_trials=8, n_ei_candidates=24,
            constant_liar=several_workers,
        )  # fmt: skip


def _drawn(count: int, wanted: int, seed: int) -> list[int]:
    """Return different numbers below ``count``, in random order."""
    source = draws(seed, "configurations")
    if count <= _MOST:
        return source.permutation(count)[:wanted].tolist()
    numbers: dict[int, None] = {}
    steps = itertools.count()
    while len(numbers) < wanted:
        numbers |= dict.fromkeys(source.at(next(steps)).below(count, (wanted,)).tolist())
    return list(numbers)[:wanted]
