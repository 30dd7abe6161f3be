"""The space of one search: several explainers, the settings of each, and their post-processing."""

from __future__ import annotations

from dataclasses import dataclass

from optuna.trial import BaseTrial

from pnpxai.engine.running.keys import settings_key
from pnpxai.errors import ArgumentError
from pnpxai.metrics.evaluation import Candidate
from pnpxai.traits import Traits
from pnpxai.tuning.space.parameters import Parameters, choices, configuration, contained, parameters, size, suggest

__all__ = ["Space"]

_EXPLAINER, _POST = "explainer", "postprocessor"


@dataclass(frozen=True)
class Space:
    """Which settings are searched.

    One explainer's settings are called as in the original (``explainer.noise_level``). Of several, ``explainer.method``
    says which one, and a setting carries its label (``explainer.SmoothGrad.noise_level``). Post-processing is called
    the same for all, so that what is learned of it from one serves the others.

    Attributes:
        starts: where the search of each explainer starts; what is not searched stays as it is there.
        traits: facts about the data; strategies that do not suit it are not searched.
    """

    starts: tuple[Candidate, ...]
    traits: Traits | None

    def __post_init__(self) -> None:
        labels = [start.label for start in self.starts]
        again = next((label for label in labels if labels.count(label) > 1), None)
        if not labels:
            raise ArgumentError("explainer: expected at least one, got none")
        if again is not None:
            raise ArgumentError(f"explainer: {again} is given twice")

    @property
    def several(self) -> bool:
        """Whether the explainer is searched too."""
        return len(self.starts) > 1

    def suggest(self, trial: BaseTrial) -> Candidate:
        """Return the candidate that a trial suggests.

        Raises:
            ArgumentError: the suggested settings are not legal together.
        """
        start = self.starts[0]
        if self.several:
            label = trial.suggest_categorical(f"{_EXPLAINER}.method", [start.label for start in self.starts])
            start = self.start(label)
        return Candidate(
            start.label,
            suggest(trial, start.explainer, self._prefix(start), self.traits),
            suggest(trial, start.postprocessor, _POST, self.traits),
        )

    def start(self, label: str) -> Candidate:
        """Return the start with this label."""
        return next(start for start in self.starts if start.label == label)

    def parameters(self, candidate: Candidate) -> Parameters:
        """Return a candidate's settings as the parameters of a trial."""
        method = {f"{_EXPLAINER}.method": candidate.label} if self.several else {}
        own = parameters(candidate.explainer, self._prefix(candidate), self.traits)
        return method | own | parameters(candidate.postprocessor, _POST, self.traits)

    def contains(self, candidate: Candidate) -> bool:
        """Tell whether all settings of a candidate lie in what is searched."""
        return contained(candidate.explainer, self.traits) and contained(candidate.postprocessor, self.traits)

    def size(self, points: int | None = None) -> float:
        """Return the number of configurations, with so many points where a range has no steps."""
        return sum(self._size(start, points) for start in self.starts)

    def configuration(self, number: int, points: int | None = None) -> Parameters:
        """Return the parameters of one of ``size(points)`` configurations."""
        for start in self.starts:
            count = int(self._size(start, points))
            if number < count:
                number, place = divmod(number, int(size(start.postprocessor, self.traits, points)))
                method = {f"{_EXPLAINER}.method": start.label} if self.several else {}
                own = configuration(start.explainer, self._prefix(start), number, self.traits, points)
                return method | own | configuration(start.postprocessor, _POST, place, self.traits, points)
            number -= count
        raise IndexError(number)

    def key(self) -> str:
        """Return a key of what is searched and of where the search starts."""
        searched = {
            start.label: choices(start.explainer, _EXPLAINER, self.traits)
            | choices(start.postprocessor, _POST, self.traits)
            | {"starts": [repr(start.explainer), repr(start.postprocessor)]}
            for start in self.starts
        }
        return settings_key(searched)

    def _size(self, start: Candidate, points: int | None) -> float:
        return size(start.explainer, self.traits, points) * size(start.postprocessor, self.traits, points)

    def _prefix(self, candidate: Candidate) -> str:
        return f"{_EXPLAINER}.{candidate.label}" if self.several else _EXPLAINER
