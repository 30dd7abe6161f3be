"""Makes keys of content for examples, models and settings: equal keys mean equal results."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from pnpxai.declare.declared import Declared
from pnpxai.declare.registry import qualified_name
from pnpxai.engine.running.guard import module_of
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Model
from pnpxai.tensors import Tensors, batch_size

__all__ = ["code_key", "content_key", "example_keys", "model_key", "numbered", "settings_key"]

_OWN = f"{__name__.partition('.')[0]}."


def content_key(*tensors: Tensor) -> str:
    """Return a key of an example's content (dtype, shape and bytes)."""
    digest = hashlib.blake2b(digest_size=12)
    for tensor in tensors:
        plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
        digest.update(f"{plain.dtype}{tuple(plain.shape)}".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b"")
    return digest.hexdigest()


def numbered(keys: Iterable[str], seen: dict[str, int] | None = None) -> tuple[str, ...]:
    """Return the keys, with a running number where a key comes again; ``seen`` counts on from call to call."""
    seen = {} if seen is None else seen
    numbered_keys = []
    for key in keys:
        seen[key] = seen.get(key, -1) + 1
        numbered_keys.append(f"{key}.{seen[key]}" if seen[key] else key)
    return tuple(numbered_keys)


def example_keys(tensors: Tensors) -> tuple[str, ...]:
    """Return a key of the content of each example of a batch."""
    return tuple(content_key(*(x[k] for x in tensors)) for k in range(batch_size(tensors)))


def model_key(model: Model, model_id: str | None = None) -> str:
    """Return a key of a model: ``model_id`` if given, else its class and the bytes of its state.

    Raises:
        ArgumentError: the model is a plain function, whose state cannot be seen, and no ``model_id`` was given.
    """
    if model_id is not None:
        return model_id
    module: nn.Module | None = module_of(model)
    if module is None:
        raise ArgumentError("model_id: needed for a model that is no torch.nn.Module, as its state cannot be seen")
    state = module.state_dict()
    digest = hashlib.blake2b("".join(state).encode(), digest_size=12)
    digest.update(content_key(*(value for value in state.values() if isinstance(value, Tensor))).encode())
    return f"{qualified_name(type(module))}@{digest.hexdigest()}"


def settings_key(settings: Mapping[str, object]) -> str:
    """Return a key of settings in the form of ``to_dict``."""
    return hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=12).hexdigest()


def code_key(*members: Declared) -> str:
    """Return a key of the source of classes that are not this package's, as far as it can be seen; "" without any.

    Args:
        *members: whose classes; those of their settings count too.
    """
    sources = _sources(members)
    return hashlib.blake2b("".join(sources).encode(), digest_size=12).hexdigest() if sources else ""


def _sources(members: Iterable[object]) -> list[str]:
    sources = []
    for member in members:
        if isinstance(member, (tuple, list)):
            sources += _sources(member)
        elif isinstance(member, Declared):
            for cls in type(member).__mro__:
                if issubclass(cls, Declared) and not cls.__module__.startswith(_OWN):
                    with contextlib.suppress(OSError, TypeError):  # typed into a console
                        sources.append(inspect.getsource(cls))
            sources += _sources(member.settings().values())
    return sources
