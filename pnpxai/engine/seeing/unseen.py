"""Marks values that were computed out of sight: by an autograd function, a script or a transform."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from torch import Tensor
from torch.autograd.graph import Node

from pnpxai.engine.seeing.operation_kinds import UNCARRIED
from pnpxai.errors import RuleError
from pnpxai.tensors import flat

__all__ = ["account_for", "drops_gradient", "is_of_a_transform", "refuse_transforms", "refuse_unseen"]

_MARK = "pnpxai: seen"


def account_for(result: object) -> None:
    """Mark the graph of the result of a seen operation, back to nodes that were marked before."""
    waiting = [tensor.grad_fn for tensor in flat(result) if tensor.grad_fn is not None]
    while waiting:
        node = waiting.pop()
        notes = _notes(node)
        if _MARK not in notes:
            notes[_MARK] = True
            waiting += [parent for parent, _ in node.next_functions if parent is not None]


def refuse_unseen(method: str, user: str, values: Sequence[Tensor]) -> None:
    """Refuse values whose graph holds nodes that no seen operation has made.

    Args:
        method: whose rules it would escape.
        user: the operation that takes the values.
        values: what it takes.

    Raises:
        RuleError: the message names what computed it.
    """
    waiting = [value.grad_fn for value in values if value.grad_fn is not None]
    passed: list[Node] = []
    while waiting:
        node = waiting.pop()
        if _MARK in _notes(node):
            continue
        name = node.name()
        if name.rstrip("0123456789") not in _OF_VIEWS:
            raise RuleError(
                f"{method}: what {user!r} gets was computed by {name.removesuffix('Backward0')!r} out of sight: in an "
                "autograd function, a scripted or traced part or a transform of torch.func, whose inside no rule "
                "reaches; write that part in plain torch, or use a gradient or perturbation method instead"
            )
        passed.append(node)
        waiting += [parent for parent, _ in node.next_functions if parent is not None]
    for node in passed:
        _notes(node)[_MARK] = True


@contextlib.contextmanager
def refuse_transforms(method: str) -> Iterator[None]:
    """Refuse operations under a transform of torch.func, to which rules cannot be attached."""
    try:
        yield
    except RuntimeError as problem:
        if not is_of_a_transform(problem):
            raise
        raise RuleError(
            f"{method}: a part of the model runs out of sight, in a transform of torch.func (grad, jvp, vmap, ...), "
            "whose inside no rule reaches; use a gradient or perturbation method instead"
        ) from problem


def is_of_a_transform(problem: Exception) -> bool:
    """Tell whether torch refuses what rules do inside a transform of torch.func."""
    return any(word in str(problem) for word in ("functorch", "BatchedTensor", "TensorWrapper"))


def _notes(node: Node) -> dict[str, object]:
    """Return the dictionary of notes that torch keeps at a node of the graph."""
    return node.metadata  # type: ignore[return-value]  (a property, typed as a method)


def drops_gradient(name: str, result: object) -> bool:
    """Return whether an operation computed numbers from values without a graph, though it should have one.

    A quantised layer or a kernel of one's own does; what makes constants by intention does not count.
    """
    tensors = [t for t in flat(result) if t.is_floating_point()]
    return bool(tensors) and name not in UNCARRIED and not any(t.requires_grad for t in tensors)


_OF_VIEWS = {
    f"{name}Backward"
    for name in (
        "AsStrided View ReshapeAlias Slice Select T Transpose Permute Unsqueeze Squeeze Expand Clone Alias ToCopy "
        "Unbind Split SplitWithSizes UnsafeView Diagonal Unfold Detach Copy Chunk Narrow"
    ).split()
} | {"CopySlices", "torch::autograd::AccumulateGrad", "AccumulateGrad"}
"""Nodes that torch itself adds when a view, or the tensor behind it, is edited."""
