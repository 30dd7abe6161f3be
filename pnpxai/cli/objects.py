"""Makes the objects that options name: the model on its data, explainers and metrics, a folder to write to."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pnpxai.auto import AutoExplanation
from pnpxai.auto.named_models import NamedModel, is_named, named_model
from pnpxai.cli.data import load_data, names_of
from pnpxai.cli.models import built, is_code, load_model, named_object
from pnpxai.cli.options import Named, OnData, Sample, Subject
from pnpxai.cli.pictures import display_of, scaled
from pnpxai.engine.running.score import Target
from pnpxai.errors import ArgumentError, ShapeError
from pnpxai.metrics.selection import as_explainer, as_metric
from pnpxai.modalities.base import picture_channels
from pnpxai.model_types import Model
from pnpxai.pictures import Display
from pnpxai.targets.written import target_from

__all__ = ["auto", "chosen", "model_of", "writable"]


def model_of(options: Subject) -> Model:
    """Return the model.

    Raises:
        ArgumentError: there is none.
    """
    if options.model is None:
        raise ArgumentError("model: expected module:attribute or a Python file, as an argument or in --options")
    return load_model(options.model, options.weights, options.device, _named(options))


def _named(options: Subject) -> NamedModel | None:
    """Return the model that a library knows by the name, None where a file or a module is named."""
    return named_model(options.model) if options.model is not None and is_named(options.model) else None


def auto(options: OnData) -> AutoExplanation:
    """Return the model on the data.

    Raises:
        ArgumentError: there is no such model, or no such data.
    """
    named = _named(options)
    model = model_of(options) if named is None else load_model(named.name, options.weights, options.device, named)
    if options.data is None:
        raise ArgumentError("data: expected a folder, a file or module:attribute, as an argument or in --options")
    class_names = names_of(options.class_names, "class_names") or (() if named is None else named.class_names)
    transform = None if named is None or scaled(options) else named.transform
    data = load_data(options, class_names, picture_channels(model), transform)
    tokenizer = (
        None if options.tokenizer is None else built(named_object(options.tokenizer, "tokenizer", "tokenizer"), "")
    )
    texts = data[0] if isinstance(data, tuple) else data
    if tokenizer is None and isinstance(texts, list) and all(isinstance(text, str) for text in texts):
        raise ArgumentError("tokenizer: texts need the model's; name it with --tokenizer module:attribute")
    on_data = AutoExplanation(
        model,
        data,
        options.modality,
        target=_target(options.target),
        target_labels=options.target_labels,
        layer=options.layer,
        tokenizer=tokenizer,
        display=display_of(options) if transform is None else Display.of(transform),
        class_names=class_names,
        feature_names=names_of(options.feature_names, "feature_names"),
        seed=options.seed if isinstance(options, Sample) else 0,
    )
    _try(on_data, " ".join(options.data))
    return on_data


def _target(given: int | str | list[int] | None) -> Target:
    """Return what to explain: an index, the indices of one output, or a target that a text writes.

    Raises:
        ArgumentError: the text is no target.
    """
    if isinstance(given, str):
        return target_from(given)
    return tuple(given) if isinstance(given, list) else given


def _try(on: AutoExplanation, spec: str) -> None:
    """Run the model on a first example.

    Raises:
        ArgumentError: it cannot be.
    """
    try:
        on.examples(1)
    except (ArgumentError, OSError) as problem:
        if not isinstance(problem, ShapeError):
            raise
        raise ArgumentError(f"{problem}; {spec} holds something else: see --input, --label, --size") from problem
    except Exception as problem:
        message = next(iter(str(problem).strip().splitlines()), "")
        raise ArgumentError(
            f"data: the model cannot be run on what {spec} holds ({type(problem).__name__}: {message}); see --input, "
            "--label, --size, --modality (--traceback shows more)"
        ) from problem


def chosen(what: str, named: Sequence[Named] | None, on: AutoExplanation) -> list[Any] | None:
    """Return the explainers or metrics that were named, configured; None where none is.

    Raises:
        ArgumentError: nothing is called so, or it has no such settings.
    """
    if named is None:
        return None
    make, configured = as_explainer if what == "explainers" else as_metric, []
    for spec in named:
        if isinstance(spec, dict) and len(spec) != 1:
            raise ArgumentError(f"{what}: expected a name with its settings, got {spec!r}")
        name, settings = (spec, {}) if isinstance(spec, str) else next(iter(spec.items()))
        cls = named_object(name, what) if is_code(name) else name
        configured.append(make(cls, on.model, on.settings).replace(**settings))
    return configured


@contextlib.contextmanager
def writable(folder: Path) -> Iterator[Path]:
    """Make a folder, and make sure that it can be written to; where that or what follows fails, leave no empty one.

    Raises:
        OSError: it cannot.
    """
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    probe = folder / ".probe.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            probe.write_bytes(b"probe")
        finally:
            probe.unlink(missing_ok=True)
        yield folder
    except BaseException:
        with contextlib.suppress(OSError):
            for path in new:
                path.rmdir()
        raise
