"""The base of all kinds of data: what each states about itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import BeforeValidator
from torch import Tensor, nn

from pnpxai.declare.declared import Declared
from pnpxai.declare.marks import Settings
from pnpxai.engine.running.guard import borrowed, module_of
from pnpxai.model_types import Model
from pnpxai.pictures import View
from pnpxai.strategies.baselines import Baseline, Zeros
from pnpxai.traits import Traits

__all__ = [
    "ALONG_TIME",
    "BASELINES",
    "Modality",
    "Names",
    "along_time",
    "picture_channels",
    "reads_ids",
    "runs",
    "width",
]

ALONG_TIME = (nn.Conv1d, nn.RNNBase)
"""Layers that go along an axis of time."""
BASELINES = ("baseline_fn", "background_data")
"""The settings of explainers and metrics that hold a baseline."""
_SHORT = 64
"""Rows of fewer numbers are no series unless a layer goes along them."""
Names = Annotated[tuple[str, ...], BeforeValidator(lambda names: tuple(map(str, names)))]


class Modality(Declared, abstract=True):
    """One kind of data. Its facts serve strategies, explainers, metrics, pictures, reports and the command line."""

    name: ClassVar[str]
    """What users call it: ``modality="image"``."""
    names_positions: ClassVar[bool] = False
    """Whether each position has a name of its own, as the columns of a table do."""

    needs_all_rows: ClassVar[bool] = False
    """Whether the default baseline is computed from all examples, not the first ones."""

    @property
    @abstractmethod
    def traits(self) -> Traits:
        """The facts that strategies and explainers go by."""

    @property
    def all_rows_needed(self) -> bool:
        """Whether the defaults are computed from all examples."""
        return self.needs_all_rows

    @classmethod
    @abstractmethod
    def recognised(cls, values: Tensor, model: Model) -> tuple[Modality, str] | None:
        """Return the modality of a batch and the reason in words; None if the batch is of another kind.

        Args:
            values: one input of the model.
            model: the model.
        """

    @classmethod
    def named(cls, values: Tensor, model: Model) -> Modality:
        """Return the modality of a batch that the user says is of this kind, though it does not look so.

        Args:
            values: one input of the model.
            model: the model.
        """
        return cls()

    def having(self, known: Settings) -> Modality:
        """Return a copy with the facts that have a field here."""
        return self.replace(**{name: value for name, value in known.items() if name in self.defaults()})

    @abstractmethod
    def view(self, values: Tensor, classes: tuple[str, ...] = ()) -> View:
        """Return how a batch is drawn.

        Args:
            values: one input of the model.
            classes: names of the model's outputs.
        """

    def baseline(self, values: Tensor) -> Baseline:
        """Return the default baseline, which stands for absence.

        Args:
            values: examples of the input.
        """
        return Zeros()

    def common(self, inputs: Sequence[Tensor]) -> Settings:
        """Return settings that explainers and metrics share, where they have them.

        Args:
            inputs: examples of every input.
        """
        baseline = self.baseline(inputs[0])
        settings = self.traits.shared()
        return settings if isinstance(baseline, Zeros) else settings | {name: baseline for name in BASELINES}

    def views(self, inputs: Sequence[Tensor], classes: tuple[str, ...] = ()) -> tuple[View, ...]:
        """Return how every input is drawn."""
        return tuple(self.view(values, classes) for values in inputs)


def width(model: Model, kinds: tuple[type[nn.Module], ...]) -> int | None:
    """Return how many channels, features or columns the first layer of some kinds takes."""
    module = module_of(model)
    first = next((m for m in module.modules() if isinstance(m, kinds)), None) if module is not None else None
    names = ("in_channels", "input_size", "in_features")
    return next((getattr(first, name) for name in names if hasattr(first, name)), None)


def along_time(model: Model, rows: Tensor) -> bool:
    """Return whether a model reads rows (examples, positions) as series, such as sound, not as columns of a table.

    That is so if it has a layer along time, or a convolution over a spectrum that it computes, or if none of its layers
    takes as many numbers as there are, but shorter rows run too. In a model of several inputs such a layer may read
    another input: rows of as many numbers as a layer takes are columns there.
    """
    module = module_of(model)
    if module is None:
        return False
    widths = {getattr(m, name, None) for m in module.modules() for name in ("in_features", "num_features")}
    widths |= {m.normalized_shape[-1] for m in module.modules() if isinstance(m, nn.LayerNorm)}
    count = rows.shape[1]
    if any(isinstance(m, (*ALONG_TIME, nn.Conv2d)) for m in module.modules()):
        return count not in widths or runs(model, rows)  # on rows alone: a model of one input
    if widths <= {None} or count in widths or count < _SHORT:
        return False
    return runs(model, rows) and runs(model, rows[:, : count // 2])


def runs(model: Model, values: Tensor) -> bool:
    """Return whether a model of one input runs on some values."""
    with borrowed(model, gradients=False):
        try:
            model(values)
        except Exception:  # what a model raises is up to it
            return False
    return True


def picture_channels(model: Model) -> int | None:
    """Return how many channels of a picture the model takes, as far as its first convolution tells."""
    return width(model, (nn.Conv2d,))


def reads_ids(model: Model) -> bool:
    """Return whether a model has an embedding."""
    module = module_of(model)
    return module is not None and any(isinstance(m, (nn.Embedding, nn.EmbeddingBag)) for m in module.modules())
