"""Calibrated models with inputs and targets: on these, a check of a law is able to fail.

A freshly built network makes many checks vacuous: its batch normalisation does nothing, its biases are zero, its output
may be exactly zero. Here statistics, scales and biases are drawn at random and the head is scaled, so that every output
of every example differs from zero and from the others. No global random state is touched.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import select_output
from pnpxai.engine.seeing.module_kinds import BATCH_NORMS
from pnpxai.model_types import ModelInputs
from pnpxai.tensors import own
from pnpxai.testing import nets
from pnpxai.traits import Traits

__all__ = [
    "CASES",
    "Case",
    "calibrated",
    "cnn",
    "drawn",
    "mlp",
    "resnet18",
    "series",
    "skip_cnn",
    "tokens",
    "two_inputs",
    "vit",
]

LEAST_SCORE = 0.1
"""How far every score is from zero, and scores of one example from each other, at least."""
LEAST_DIFFERENCE = 0.02
"""How far scores of different examples are from each other, at least."""


@dataclass(frozen=True, eq=False)
class Case:
    """A calibrated model with a batch to explain.

    Attributes:
        name: what it is called.
        model: in eval mode, float64.
        inputs: a tensor, or a tuple of them, with one row per example.
        targets: an output for each example.
        outputs: how many outputs the model has.
        traits: facts about the (first) input.
        layer: where gradients can be taken, if not at the inputs: the embedding of ids.
    """

    name: str
    model: nn.Module
    inputs: ModelInputs
    targets: list[int]
    outputs: int
    traits: Traits
    layer: str | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The inputs as a tuple."""
        return self.inputs if isinstance(self.inputs, tuple) else (self.inputs,)

    @property
    def other_targets(self) -> list[int]:
        """For each example an output that is not its target."""
        return [(target + 1) % self.outputs for target in self.targets]

    def scores(self, inputs: tuple[Tensor, ...] | None = None) -> Tensor:
        """Return (examples,) the explained outputs, by default of the case's own inputs."""
        outputs = _outputs(self.model, self.tensors if inputs is None else inputs)
        return outputs[range(len(outputs)), self.targets]

    def with_inputs(self, change: Callable[[Tensor], Tensor]) -> Case:
        """Return the case with every input changed."""
        changed = tuple(change(tensor) for tensor in self.tensors)
        return replace(self, inputs=changed if isinstance(self.inputs, tuple) else changed[0])

    def take(self, rows: slice) -> Case:
        """Return the case with some of its examples."""
        return replace(self.with_inputs(lambda tensor: tensor[rows]), targets=self.targets[rows])

    def copy(self) -> Case:
        """Return the case with a model and inputs of its own."""
        return replace(self.with_inputs(own), model=copy.deepcopy(self.model))

    def to(self, dtype: torch.dtype) -> Case:
        """Return a copy whose model and floating point inputs have another dtype."""
        other = self.copy().with_inputs(lambda tensor: tensor.to(dtype) if tensor.is_floating_point() else tensor)
        other.model.to(dtype)
        return other


def calibrated(
    name: str,
    build: Callable[[], nn.Module],
    draw: Callable[[int, torch.Generator], ModelInputs],
    traits: Traits,
    *,
    examples: int = 3,
    seed: int = 0,
    layer: str | None = None,
    centred: bool = False,
) -> Case:
    """Build a model, make it realistic, and choose examples on which all its outputs differ from zero and each other.

    Args:
        name: what the case is called.
        build: makes the model; its last linear layer is taken for the head.
        draw: makes that many inputs from a generator.
        traits: facts about the inputs.
        examples: how many are wanted.
        seed: fixes everything.
        layer: where gradients can be taken, if not at the inputs.
        centred: scale the head by how much outputs differ between inputs, and draw its bias after that; for deep
            networks, whose outputs else hardly do.

    Raises:
        ValueError: among many inputs there are not enough such examples.
    """
    with torch.random.fork_rng(), _single():
        torch.manual_seed(seed)
        model = build().double().eval()
        _roughen(model)
    generator = torch.Generator().manual_seed(seed)
    inputs = draw(64 * examples, generator)
    tensors = inputs if isinstance(inputs, tuple) else (inputs,)
    _scale_head(model, tensors, centred, generator)
    outputs = _outputs(model, tensors)
    rows = _distinct(outputs, examples)
    if len(rows) < examples:
        raise ValueError(f"{name}: only {len(rows)} of {len(outputs)} inputs can be told apart by their outputs")
    targets = [k % outputs.shape[1] for k in range(examples)]
    whole = Case(name, model, inputs, targets, outputs.shape[1], traits, layer)
    return whole.with_inputs(lambda tensor: tensor[rows].clone())


@contextlib.contextmanager
def _single() -> Iterator[None]:
    """Build in float32, whatever the default dtype is at present: another one draws other weights."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _roughen(model: nn.Module) -> None:
    """Draw statistics, scales and biases as training leaves them (from the forked global state)."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, BATCH_NORMS):
                module.running_mean.normal_(0, 0.3)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
            if isinstance(module, (*BATCH_NORMS, nn.LayerNorm)):
                module.weight.uniform_(0.5, 1.5)
        for name, parameter in model.named_parameters():
            if "bias" in name or bool((parameter == 0).all()):
                parameter.normal_(0, 0.2)


def _scale_head(model: nn.Module, tensors: tuple[Tensor, ...], centred: bool, generator: torch.Generator) -> None:
    """Let the outputs (or their differences between inputs) have mean square one."""
    head, outputs = _head(model), _outputs(model, tensors)
    mean = outputs.mean(0) if centred else torch.zeros_like(outputs[0])
    size = (outputs - mean).square().mean().sqrt()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter /= size
        if centred and head.bias is not None:
            noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype)
            head.bias.add_(noise - mean / size)


def _head(model: nn.Module) -> nn.Linear:
    return [module for module in model.modules() if isinstance(module, nn.Linear)][-1]


def _outputs(model: nn.Module, tensors: tuple[Tensor, ...]) -> Tensor:
    with borrowed(model, gradients=False):
        return select_output(model(*tensors))


def _distinct(outputs: Tensor, wanted: int) -> Tensor:
    chosen: list[int] = []
    for row, output in enumerate(outputs):
        apart = (output[:, None] - output[None]).abs() + torch.eye(len(output), dtype=output.dtype)
        from_others = (output - outputs[chosen]).abs() if chosen else torch.ones(1)
        far = output.abs().min() > LEAST_SCORE and apart.min() > LEAST_SCORE
        if far and from_others.min() > LEAST_DIFFERENCE and len(chosen) < wanted:
            chosen.append(row)
    return torch.tensor(chosen, dtype=torch.long)


def drawn(*shape: int) -> Callable[[int, torch.Generator], Tensor]:
    """Return a function that draws that many inputs of standard normal numbers."""
    return lambda size, generator: torch.randn(size, *shape, generator=generator, dtype=torch.float64)


def mlp(examples: int = 3, seed: int = 0) -> Case:
    """Return a multi-layer perceptron on rows of a table."""
    return calibrated("mlp", nets.Perceptron, drawn(6), Traits.table(), examples=examples, seed=seed)


def cnn(examples: int = 3, seed: int = 0) -> Case:
    """Return convolutions, max-pooling and a linear layer in a row."""
    return calibrated("cnn", nets.plain_convolutions, drawn(2, 8, 8), Traits.image(), examples=examples, seed=seed)


def skip_cnn(examples: int = 3, seed: int = 0) -> Case:
    """Return a residual network with batch normalisation, a reused in-place ReLU and ``+=``."""
    return calibrated("skip_cnn", nets.SkipNet, drawn(2, 8, 8), Traits.image(), examples=examples, seed=seed)


def two_inputs(examples: int = 3, seed: int = 0) -> Case:
    """Return a network of a picture and a table."""
    image, table = drawn(1, 6, 6), drawn(4)
    return calibrated(
        "two_inputs",
        nets.TwoInputs,
        lambda size, generator: (image(size, generator), table(size, generator)),
        Traits.image(),
        examples=examples,
        seed=seed,
    )


def tokens(examples: int = 3, seed: int = 0) -> Case:
    """Return an LSTM classifier of token ids, to be explained at its embedding."""
    return calibrated(
        "tokens",
        nets.TokenNet,
        lambda size, generator: torch.randint(1, 12, (size, 7), generator=generator),  # 0 stands for what is absent
        Traits.text(),
        examples=examples,
        seed=seed,
        layer="embedding",
    )


def series(examples: int = 3, seed: int = 0) -> Case:
    """Return convolutions along time."""
    return calibrated("series", nets.SeriesNet, drawn(2, 16), Traits.series(), examples=examples, seed=seed)


def vit(examples: int = 3, seed: int = 0) -> Case:
    """Return a small vision transformer."""
    return calibrated("vit", nets.VisionTransformer, drawn(1, 8, 8), Traits.image(), examples=examples, seed=seed)


def resnet18(examples: int = 2, seed: int = 0) -> Case:
    """Return torchvision's ResNet-18 with five outputs, on small pictures."""
    from torchvision.models import resnet18 as build

    return calibrated(
        "resnet18",
        lambda: build(num_classes=5),
        drawn(3, 32, 32),
        Traits.image(),
        examples=examples,
        seed=seed,
    )


CASES: dict[str, Callable[[], Case]] = {
    make.__name__: functools.cache(make) for make in (mlp, cnn, skip_cnn, series, two_inputs, tokens, vit, resnet18)
}
"""Every case by name; each is built once. Checks give a case back as it was, so it can be shared."""
