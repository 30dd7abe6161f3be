"""What a command was asked for, from its arguments and its file of options, and how it is done."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pnpxai.auto import AutoExplanation
from pnpxai.cli.loading import load_data, load_model
from pnpxai.cli.options import Named, Options, read_options
from pnpxai.errors import ArgumentError
from pnpxai.experiment import Results
from pnpxai.files import complete
from pnpxai.metrics.base import Metric
from pnpxai.metrics.choose import as_explainer, as_metric
from pnpxai.recommender import Recommendation, recommend
from pnpxai.tuning import TuningResult

__all__ = ["Asked"]


@dataclass(frozen=True)
class Asked:
    """Options, complete.

    Attributes:
        options: the options.
    """

    options: Options

    @classmethod
    def of(cls, path: Path | None, **given: Any) -> Asked:
        """Return what was given, and for what was not, what a file has.

        Raises:
            ArgumentError: an option is wrong, or there is no model.
        """
        held = {} if path is None else read_options(path)
        whole = held | {name: value for name, value in given.items() if value not in (None, [])}
        try:
            options = Options.model_validate(whole)
        except ValueError as wrong:
            first = wrong.errors()[0]  # type: ignore[attr-defined]
            raise ArgumentError(f"{first['loc'][0]}: {first['msg']}, got {first['input']!r}") from None
        if options.model is None:
            raise ArgumentError("model: expected module:attribute or a Python file, as an argument or in --options")
        return cls(options)

    def folder(self, name: str) -> Path:
        """Return the folder to write to, after making sure that it can be written to.

        Raises:
            OSError: it cannot.
        """
        folder = Path(self.options.out or name)
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe.part"
        try:
            probe.write_bytes(b"probe")
        finally:
            probe.unlink(missing_ok=True)
        return folder

    def recommended(self) -> Recommendation:
        """Return which explainers fit."""
        if self.options.data is not None:
            return self.auto().recommended
        return recommend(load_model(self.options.model or ""))

    def auto(self) -> AutoExplanation:
        """Return the model on the data.

        Raises:
            ArgumentError: there is no such model, or no such data.
        """
        of = self.options
        if of.data is None:
            raise ArgumentError("data: expected a folder, a file or module:attribute, as an argument or in --options")
        data = load_data(of.data, label=of.label, size=of.size)
        return AutoExplanation(load_model(of.model or ""), data, of.modality, target=of.target, seed=of.seed)

    def explained(self, folder: Path) -> dict[str, Any]:
        """Explain examples and write what was found."""
        auto, count, written = self.auto(), self.options.count or 8, {}
        explainers = self.explainers(auto)
        found: Any = auto.explain(count=count) if explainers is None else None
        if found is None:
            found = {type(e).__name__: auto.explain(e, count=count) for e in explainers or ()}
        for name, explanation in found.items():
            at = explanation.save(folder / name)
            figure = explanation.plot()
            complete(at / "picture.png", partial(figure.savefig, format="png", bbox_inches="tight"))
            targets = explanation.targets
            targets = targets.tolist() if hasattr(targets, "tolist") else targets
            written[name] = {"folder": str(at), "targets": targets, "scores": explanation.scores.tolist()}
        return written

    def tuned(self) -> list[TuningResult]:
        """Tune each explainer; with a file to write to, write what was found."""
        auto, of = self.auto(), self.options
        explainers = self.explainers(auto)
        if not explainers:
            raise ArgumentError("explainers: expected at least one to tune, with --explainer or in --options")
        metric = (self.metrics(auto) or ["AbPC"])[0]
        path = None if of.out is None else Path(of.out)
        if path is not None and path.is_dir():
            raise ArgumentError(f"out: expected a file such as {path / 'tuned.json'}, got the folder {path}")
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        found = [auto.tune(e, metric, n_trials=of.n_trials, count=of.count or 64) for e in explainers]
        if path is not None:
            text = json.dumps([result.to_dict() for result in found], indent=1)
            complete(path, lambda file: file.write_text(text, encoding="utf-8"))
        return found

    def compared(self, folder: Path, arguments: Sequence[str]) -> Results:
        """Compare on all examples, into a run folder."""
        auto, of = self.auto(), self.options
        command = shlex.join(["pnpxai", *arguments])
        given: dict[str, Any] = {
            "count": of.count, "keep": of.keep, "controls": of.controls, "folder": folder,
            "facts": {"command": command},
        }  # fmt: skip
        explainers, metrics = self.explainers(auto), self.metrics(auto)
        if of.tuned is not None:
            explainers = [
                *(auto.recommended if explainers is None else explainers),
                *_found(Path(of.tuned), auto.model),
            ]
        if of.workers == 1:
            return auto.compare(explainers, metrics, **given)
        with ProcessPoolExecutor(of.workers, get_context("spawn")) as executor:
            return auto.compare(explainers, metrics, executor=executor, **given)

    def explainers(self, auto: AutoExplanation) -> list[Any] | None:
        """Return the explainers that were named; None for all that fit."""
        return _all(as_explainer, self.options.explainers, auto, "explainers")

    def metrics(self, auto: AutoExplanation) -> list[Metric] | None:
        """Return the metrics that were named; None for the default ones."""
        return _all(as_metric, self.options.metrics, auto, "metrics")


def _found(path: Path, model: Any) -> list[TuningResult]:
    """Return what was tuned, from a file."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        return [TuningResult.from_dict(one, model) for one in written]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise ArgumentError(f"tuned: {path} holds nothing that pnpxai tune wrote ({problem})") from problem


def _all(make: Any, named: list[Named] | None, auto: AutoExplanation, option: str) -> list[Any] | None:
    if named is None:
        return None
    made = []
    for spec in named:
        name, settings = (spec, {}) if isinstance(spec, str) else next(iter(spec.items()), ("", {}))
        if isinstance(spec, dict) and len(spec) != 1:
            raise ArgumentError(f"{option}: expected a name with its settings, got {spec!r}")
        made.append(make(name, auto.model, auto.settings).replace(**settings))
    return made
