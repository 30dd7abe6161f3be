"""Explanations as files: tensors in safetensors, all else in JSON; nothing that is read is executed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from pnpxai.declare.registry import qualified_name
from pnpxai.errors import ArgumentError
from pnpxai.files import ReadJson, write_file

__all__ = ["read", "write"]

_TENSORS, _FACTS = "tensors.safetensors", "explanation.json"


def write(folder: Path, parts: Mapping[str, object]) -> Path:
    """Write an explanation's parts by name; what was there before is replaced only by complete files."""
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}

    def plain(name: str, value: object) -> object:
        """Return the JSON form of a part, and keep its tensors, whose names stand in their place."""
        if isinstance(value, Tensor):
            tensors[name] = value.detach().cpu().contiguous().clone()
            return {"tensor": name}
        if isinstance(value, tuple):
            return {"tuple": [plain(f"{name}.{k}", member) for k, member in enumerate(value)]}
        if isinstance(value, list):
            return [plain(f"{name}.{k}", member) for k, member in enumerate(value)]
        if isinstance(value, dict):
            return {"dict": {key: plain(f"{name}.{key}", member) for key, member in value.items()}}
        return qualified_name(value) if callable(value) else value

    facts = {name: plain(name, value) for name, value in parts.items()}
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(facts, indent=1)
    write_file(folder / _TENSORS, lambda path: save_file(tensors, path))
    write_file(folder / _FACTS, lambda path: path.write_text(text, encoding="utf-8"))
    return folder


def read(folder: Path) -> dict[str, ReadJson]:
    """Return the parts that ``write`` wrote.

    Raises:
        ArgumentError: the folder holds no explanation, or a damaged one.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    for name in (_FACTS, _TENSORS):
        if not (folder / name).is_file():
            raise ArgumentError(f"folder: {folder} holds no {name}")
    try:
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        tensors = load_file(folder / _TENSORS)
    except (ValueError, SafetensorError) as problem:
        raise ArgumentError(f"folder: {folder} holds a damaged explanation ({problem})") from problem

    def built(value: ReadJson) -> ReadJson:
        if isinstance(value, list):
            return [built(member) for member in value]
        if not isinstance(value, dict):
            return value
        ((kind, held),) = value.items()
        made: dict[str, Callable[[], ReadJson]] = {
            "tensor": lambda: tensors[held],
            "tuple": lambda: tuple(map(built, held)),
            "dict": lambda: {key: built(member) for key, member in held.items()},
        }
        return made[kind]()

    try:
        return {name: built(value) for name, value in facts.items()}
    except (KeyError, ValueError, AttributeError, TypeError) as problem:
        raise ArgumentError(
            f"folder: {folder} holds another explanation.json than save writes ({problem!r})"
        ) from problem
