"""All options in a file: YAML or JSON, checked as a whole; an error names the file, the line and the key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pydantic
import yaml

from pnpxai.cli.options import OptionsFile, first_wrong
from pnpxai.errors import ArgumentError, did_you_mean

__all__ = ["read_options"]

_DEEPEST = 50


def read_options(path: Path) -> dict[str, object]:
    """Return the options that a file holds.

    Raises:
        ArgumentError: it cannot be read, or an option is unknown or wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
        _refuse_growth(text, path)
        values = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        tree = yaml.compose(text, yaml.SafeLoader)
    except ArgumentError:
        raise
    except (OSError, UnicodeDecodeError) as problem:
        raise ArgumentError(f"options: {path} cannot be read ({problem})") from problem
    except (ValueError, yaml.YAMLError, RecursionError) as problem:
        raise ArgumentError(f"options: {path} is no YAML or JSON ({problem})") from problem
    if not isinstance(values, dict):
        raise ArgumentError(f"options: {path}: expected options by name, got {type(values).__name__}")
    try:
        OptionsFile.model_validate(values)
    except pydantic.ValidationError as invalid:
        key, expected, unknown = first_wrong(invalid)
        if unknown:
            expected = f"there is no such option{did_you_mean(key, OptionsFile.model_fields)}"
        else:
            expected += f", got {values[key]!r}"
        raise ArgumentError(f"options: {path}, line {_line(tree, key)}, {key}: {expected}") from None
    return values


def _refuse_growth(text: str, path: Path) -> None:
    """Refuse aliases, by which a small file holds many values, and values so deep that reading them takes long."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ArgumentError(f"options: {path}: expected values at most {_DEEPEST} deep")
        if isinstance(event, yaml.AliasEvent):
            raise ArgumentError(f"options: {path}: expected every value written out, got an alias (*name)")


def _line(tree: Any, key: str) -> int:
    return next((name.start_mark.line + 1 for name, _ in tree.value if str(name.value) == key), 1)
