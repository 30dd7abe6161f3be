"""All options in a file: YAML or JSON, checked as a whole; an error names the file, the line and the key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import Field

from pnpxai.errors import ArgumentError, did_you_mean

__all__ = ["Options", "read_options"]

Named = str | dict[str, dict[str, Any]]
"""A class's name, or the name with settings: ``{SmoothGrad: {n_iter: 50}}``."""


class Options(pydantic.BaseModel):
    """What the commands take; those of another command are left alone."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, protected_namespaces=())

    model: str | None = None
    """``module:attribute``, or a Python file that defines a model."""
    data: str | None = None
    """A folder of pictures, a .npy, .npz, .csv or .parquet file, or ``module:attribute``."""
    modality: Literal["image", "text", "table", "series"] | None = None
    """What the data is; by default told from it."""
    label: str | None = None
    """The column or array that holds true classes."""
    size: Annotated[int, Field(ge=1)] | None = None
    """Scale pictures to this height and width."""
    target: int | None = None
    """Explain this output; by default the largest of each example."""
    explainers: list[Named] | None = None
    """Names, or names with settings; by default all that fit."""
    tuned: str | None = None
    """A file that ``pnpxai tune`` wrote: compare what it found too."""
    metrics: list[Named] | None = None
    """Names, or names with settings."""
    count: Annotated[int, Field(ge=1)] | None = None
    """How many examples, from the first; by default all (8 to explain, 64 to tune on)."""
    seed: int = 0
    """Fixes all that is drawn at random."""
    out: str | None = None
    """Where to write."""
    keep: Annotated[int, Field(ge=0)] = 16
    """How many examples' maps are kept."""
    controls: bool = True
    """Compare with maps that ignore the model."""
    workers: Annotated[int, Field(ge=1)] = 1
    """How many processes do the work."""
    n_trials: Annotated[int, Field(ge=1)] = 20
    """How many settings are tried."""


def read_options(path: Path) -> dict[str, Any]:
    """Return the options that a file holds.

    Raises:
        ArgumentError: it cannot be read, or an option is unknown or wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        tree = yaml.compose(text, yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as problem:
        raise ArgumentError(f"options: {path} cannot be read ({problem})") from problem
    except (ValueError, yaml.YAMLError) as problem:
        raise ArgumentError(f"options: {path} is no YAML or JSON ({problem})") from problem
    if not isinstance(values, dict):
        raise ArgumentError(f"options: {path}: expected options by name, got {type(values).__name__}")
    try:
        Options.model_validate(values)
    except pydantic.ValidationError as invalid:
        first = invalid.errors()[0]
        key = str(first["loc"][0])
        said = first["msg"][0].lower() + first["msg"][1:]
        if first["type"] == "extra_forbidden":
            said = f"there is no such option{did_you_mean(key, Options.model_fields)}"
        else:
            said += f", got {values[key]!r}"
        raise ArgumentError(f"options: {path}, line {_line(tree, key)}, {key}: {said}") from None
    return values


def _line(tree: Any, key: str) -> int:
    return next((name.start_mark.line + 1 for name, _ in tree.value if str(name.value) == key), 1)
