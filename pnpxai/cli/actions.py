"""The work behind the commands: explaining, tuning, ranking and comparing as the options say."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm.auto import tqdm

from pnpxai.auto import AutoExplanation, Overview
from pnpxai.auto.overview import overview_of
from pnpxai.cli.objects import auto, chosen
from pnpxai.cli.options import Compare, Explain, Rank, Tune
from pnpxai.declare.marks import Settings
from pnpxai.errors import ArgumentError
from pnpxai.experiment import Results
from pnpxai.explainers.results.explanation import Explanation
from pnpxai.files import ReadJson, read_json, write_folder
from pnpxai.modalities import ImageModality
from pnpxai.processes import worker_pool
from pnpxai.recommender import Ranking
from pnpxai.tuning import Budget, TuningResult

__all__ = ["at_a_glance", "compared", "explained", "overviews", "ranked", "tuned"]

_EXPLAINED, _TUNED_ON = 8, 64


def at_a_glance(options: Explain, on: AutoExplanation) -> bool:
    """Return whether pictures of a classifier are to be shown, each in one file."""
    asked = options.explainers or options.every or options.target is not None or options.target_labels or options.layer
    return not asked and isinstance(on.modality, ImageModality) and on.is_classifier


def overviews(options: Explain, on: AutoExplanation, folder: Path) -> list[tuple[Path, Overview]]:
    """Write one file for each picture; return the files with what they show."""
    _tell_left_out(on)
    shown = []
    for number in tqdm(range(len(on.examples(options.count or _EXPLAINED))), desc="explaining", unit="picture"):
        overview = overview_of(on, quick=options.quick, number=number)
        name = Path(overview.name or f"picture_{number}").with_suffix("").as_posix().replace("/", "_")
        taken = {path for path, _ in shown}
        path = folder / f"{name}.png"
        path = path if path not in taken else folder / f"{name}_{number}.png"
        shown.append((overview.save(path), overview))
    return shown


def _tell_left_out(on: AutoExplanation) -> None:
    for line in on.left_out:
        tqdm.write(f"left out: {line}", file=sys.stderr)


def explained(options: Explain, on: AutoExplanation, folder: Path) -> dict[str, ReadJson]:
    """Explain examples and write a folder for each explainer; return what was written, by the explainer's name."""
    _tell_left_out(on)
    named = chosen("explainers", options.explainers, on)
    written: dict[str, ReadJson] = {}
    with tqdm(on.recommended.explainers if named is None else named, desc="explaining", unit="explainer") as bar:
        for one in bar:
            label = one.__name__ if isinstance(one, type) else type(one).__name__
            bar.set_postfix_str(label)
            try:
                explanation = on.explain(one, count=options.count or _EXPLAINED)
            except ArgumentError as refusal:
                if named is not None:
                    raise
                bar.write(f"{label} is left out: {refusal}", file=sys.stderr)
                continue
            again = sum(name.partition(" ")[0] == label for name in written)
            name = f"{label} {again + 1}" if again else label
            written[name] = _written(explanation, folder / name)
    return written


def _written(explanation: Explanation, folder: Path) -> dict[str, object]:
    def write(to: Path) -> None:
        explanation.save(to)
        for member in range(len(explanation.attributions)):  # one for each input
            figure = explanation.plot(len(explanation), member=member)
            figure.savefig(to / f"picture{f'_{member}' if member else ''}.png", bbox_inches="tight")
            figure.clear()

    write_folder(folder, write)
    targets, names = explanation.targets, explanation.views[0].sources if explanation.views else ()
    return {
        "folder": str(folder),
        "picture": str(folder / "picture.png"),
        **({"files": list(names)} if names else {}),
        "targets": targets.tolist() if isinstance(targets, Tensor) else targets,
        "scores": explanation.scores.tolist(),
        "seconds": explanation.seconds,
    }


def tuned(options: Tune) -> list[TuningResult]:
    """Tune each explainer, or all in one search."""
    on = auto(options)
    explainers = chosen("explainers", options.explainers, on)
    if explainers is None and not options.together:
        raise ArgumentError(
            "explainers: expected at least one to tune, with --explainer or in --options; --together searches all that "
            "fit at once, and pnpxai rank tunes and ranks them"
        )
    if options.workers > 1 and options.storage is None:
        raise ArgumentError("workers: several processes need a --storage: a folder, a file or the URL of a database")
    metrics = chosen("metrics", options.metrics, on) or ["MultiScaleCorrelation"]
    settings: Settings = {
        "count": options.count or _TUNED_ON, "n_trials": options.n_trials, "sampler": options.sampler,
        "storage": options.storage, "workers": options.workers,
    }  # fmt: skip
    if options.budget is not None:
        settings |= _limit(Budget.of(options.budget), options.n_trials)
    metric = metrics[0] if len(metrics) == 1 else metrics
    together: list[Any] = [list(on.recommended) if explainers is None else explainers]
    searches = together if options.together else explainers or []
    return [on.tune(one, metric, **settings) for one in searches]


def _limit(budget: Budget, n_trials: int | None) -> Settings:
    """Return the limit of a search: a time, or trials."""
    if budget.kind == "seconds":
        return {"timeout": budget.amount}
    if budget.kind == "rows":
        raise ArgumentError(
            "budget: tune is limited by a time or by trials, such as 5min or '300 trials'; rows are for rank"
        )
    if n_trials is not None:
        raise ArgumentError("budget: trials are given twice; leave out --n-trials or --budget")
    return {"n_trials": int(budget.amount)}


def ranked(options: Rank) -> Ranking:
    """Tune all explainers and rank them."""
    on = auto(options)
    deciding = chosen("metrics", options.metrics, on)
    settings: Settings = {} if deciding is None else {"deciding": deciding}
    if options.n_trials is not None:
        settings["n_trials"] = options.n_trials
    return on.rank(
        chosen("explainers", options.explainers, on), count=options.count or _TUNED_ON, budget=options.budget,
        storage=options.storage, **settings,
    )  # fmt: skip


def compared(options: Compare, folder: Path, arguments: Sequence[str]) -> Results:
    """Compare on all examples, into a run folder."""
    on = auto(options)
    settings: Settings = {
        "count": options.count, "keep": options.keep, "controls": options.controls, "folder": folder,
        "facts": {"command": shlex.join(["pnpxai", *map(_without_machine, arguments)])},
    }  # fmt: skip
    explainers, metrics = chosen("explainers", options.explainers, on), chosen("metrics", options.metrics, on)
    if options.tuned is not None:
        explainers = [
            *(on.recommended if explainers is None else explainers),
            *_tuning_results(Path(options.tuned), on),
        ]
    if options.workers == 1:
        return on.compare(explainers, metrics, **settings)
    with worker_pool(options.workers) as executor:
        return on.compare(explainers, metrics, executor=executor, **settings)


def _without_machine(argument: str) -> str:
    """Return an argument of a command without the folders of this machine: a report is shown to others."""
    option, equals, value = argument.rpartition("=")
    path, colon, attribute = value.partition(":")
    if not Path(path).is_absolute():
        return argument
    here = Path.cwd()
    shown = str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else f".../{Path(path).name}"
    return f"{option}{equals}{shown}{colon}{attribute}"


def _tuning_results(path: Path, on: AutoExplanation) -> list[TuningResult]:
    """Return the results in a file that tune or rank wrote."""
    written = read_json(path, "tuned")
    try:
        results = written["tuned"].values() if isinstance(written, dict) else written
        return [TuningResult.from_dict(one, on.model) for one in results]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise ArgumentError(f"tuned: {path} holds nothing that tune or rank wrote ({problem})") from problem
