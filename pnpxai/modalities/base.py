"""What every kind of data states of itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator
from torch import Tensor, nn

from pnpxai.declare.declared import Declared
from pnpxai.engine.running.guard import module_of
from pnpxai.pictures import View
from pnpxai.strategies.baselines import Baseline, Zeros
from pnpxai.traits import Traits

__all__ = ["ALONG_TIME", "Modality", "Names", "reads_ids", "width"]

ALONG_TIME = (nn.Conv1d, nn.RNNBase)
"""Layers that go along an axis of time."""
Names = Annotated[tuple[str, ...], BeforeValidator(lambda given: tuple(map(str, given)))]


class Modality(Declared, abstract=True):
    """One kind of data. What is known of it serves strategies, explainers, metrics and pictures alike."""

    name: ClassVar[str]

    @property
    @abstractmethod
    def traits(self) -> Traits:
        """The facts that strategies and explainers go by."""

    @classmethod
    @abstractmethod
    def recognised(cls, values: Tensor, model: Any) -> tuple[Modality, str] | None:
        """Return the modality of a batch, and why it is that, if it is of this kind.

        Args:
            values: one input of the model.
            model: the model.
        """

    @classmethod
    def named(cls, values: Tensor, model: Any) -> Modality:
        """Return the modality of a batch that was said to be of this kind, though it does not look so.

        Args:
            values: one input of the model.
            model: the model.
        """
        return cls()

    def having(self, known: Mapping[str, Any]) -> Modality:
        """Return it with those of some facts that it has a field for."""
        return self.replace(**{name: value for name, value in known.items() if name in self.defaults()})

    @abstractmethod
    def view(self, values: Tensor, classes: tuple[str, ...] = ()) -> View:
        """Return how a batch is drawn.

        Args:
            values: one input of the model.
            classes: names of the model's outputs.
        """

    def baseline(self, values: Tensor) -> Baseline:
        """Return what stands for absence by default.

        Args:
            values: examples of the input.
        """
        return Zeros()

    def common(self, inputs: Sequence[Tensor]) -> dict[str, Any]:
        """Return settings that explainers and metrics share, where they have them.

        Args:
            inputs: examples of every input.
        """
        baseline = self.baseline(inputs[0])
        found = self.traits.shared()
        return found if isinstance(baseline, Zeros) else found | {"baseline_fn": baseline}

    def views(self, inputs: Sequence[Tensor], classes: tuple[str, ...] = ()) -> tuple[View, ...]:
        """Return how every input is drawn."""
        return tuple(self.view(values, classes) for values in inputs)


def width(model: Any, kinds: tuple[type[nn.Module], ...]) -> int | None:
    """Return how many channels, features or columns the first such layer wants."""
    module = module_of(model)
    first: Any = next((m for m in module.modules() if isinstance(m, kinds)), None) if module is not None else None
    names = ("in_channels", "input_size", "in_features")
    return next((getattr(first, name) for name in names if hasattr(first, name)), None)


def reads_ids(model: Any) -> bool:
    """Tell whether a model has an embedding."""
    module = module_of(model)
    return module is not None and any(isinstance(m, (nn.Embedding, nn.EmbeddingBag)) for m in module.modules())
