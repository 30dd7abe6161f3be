"""Explanations as files: tensors in safetensors, all else in JSON; nothing that is read is executed.

The JSON file has a checksum, and holds a digest of the tensors: what is damaged is noticed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from pnpxai.declare.registry import qualified_name
from pnpxai.errors import ArgumentError
from pnpxai.files import ReadJson, file_digest, read_json, write_file, write_json

__all__ = ["read", "write"]

_TENSORS, _FACTS = "tensors.safetensors", "explanation.json"
_DIGEST = "digest_of_tensors"


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
    json.dumps(facts)  # what has no JSON form is noticed before anything is written
    write_file(folder / _TENSORS, lambda path: save_file(tensors, path))
    write_json(folder / _FACTS, facts | {_DIGEST: file_digest(folder / _TENSORS)})
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
    facts = read_json(folder / _FACTS, "folder")
    digest = facts.pop(_DIGEST, None) if isinstance(facts, dict) else None
    try:
        if digest is not None and digest != file_digest(folder / _TENSORS):
            raise ArgumentError(
                f"folder: {folder} holds a damaged explanation: {_TENSORS} is not as it was written with {_FACTS}; "
                "explain and save anew"
            )
        tensors = load_file(folder / _TENSORS)
    except (OSError, SafetensorError) as problem:
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
    except (LookupError, ValueError, AttributeError, TypeError, RecursionError) as problem:
        raise ArgumentError(
            f"folder: {folder} holds another explanation.json than save writes ({problem!r})"
        ) from problem
