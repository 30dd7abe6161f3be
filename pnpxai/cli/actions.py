"""What the commands do: explaining, tuning, ranking and comparing as the options say."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from pnpxai.auto import AutoExplanation
from pnpxai.cli.objects import auto, chosen
from pnpxai.cli.options import Compare, Explain, Rank, Tune
from pnpxai.errors import ArgumentError
from pnpxai.experiment import Results
from pnpxai.files import write_file, write_folder
from pnpxai.processes import worker_pool
from pnpxai.recommender import Ranking
from pnpxai.tuning import Budget, TuningResult

__all__ = ["compared", "explained", "ranked", "tuned", "write_json"]

_EXPLAINED, _TUNED_ON = 8, 64


def explained(asked: Explain, folder: Path) -> dict[str, Any]:
    """Explain examples and write what was found, explainer after explainer; return where, by the explainer's name."""
    on = auto(asked)
    named = chosen("explainers", asked.explainers, on)
    written: dict[str, Any] = {}
    with tqdm(on.recommended.explainers if named is None else named, desc="explaining", unit="explainer") as bar:
        for one in bar:
            label = one.__name__ if isinstance(one, type) else type(one).__name__
            bar.set_postfix_str(label)
            try:
                explanation = on.explain(one, count=asked.count or _EXPLAINED)
            except ArgumentError as refusal:
                if named is not None:
                    raise
                bar.write(f"{label} is left out: {refusal}", file=sys.stderr)
                continue
            again = sum(name.partition(" ")[0] == label for name in written)
            name = f"{label} {again + 1}" if again else label
            written[name] = _written(explanation, folder / name)
    return written


def _written(explanation: Any, folder: Path) -> dict[str, Any]:
    def write(to: Path) -> None:
        explanation.save(to)
        for member in range(len(explanation.attributions)):  # one for each input
            figure = explanation.plot(member=member)
            figure.savefig(to / f"picture{f'_{member}' if member else ''}.png", bbox_inches="tight")
            figure.clear()

    write_folder(folder, write)
    targets = explanation.targets
    return {
        "folder": str(folder),
        "picture": str(folder / "picture.png"),
        "targets": targets.tolist() if hasattr(targets, "tolist") else targets,
        "scores": explanation.scores.tolist(),
        "seconds": explanation.seconds,
    }


def tuned(asked: Tune) -> list[TuningResult]:
    """Tune each explainer, or all in one search."""
    on = auto(asked)
    explainers = chosen("explainers", asked.explainers, on)
    if explainers is None and not asked.together:
        raise ArgumentError(
            "explainers: expected at least one to tune, with --explainer or in --options; --together searches all that "
            "fit at once, and pnpxai rank tunes and ranks them"
        )
    if asked.workers > 1 and asked.storage is None:
        raise ArgumentError("workers: several processes need a --storage: a folder, a file or the URL of a database")
    metrics = chosen("metrics", asked.metrics, on) or ["AbPC"]
    options: dict[str, Any] = {
        "count": asked.count or _TUNED_ON, "n_trials": asked.n_trials, "sampler": asked.sampler,
        "storage": asked.storage, "workers": asked.workers,
    }  # fmt: skip
    if asked.budget is not None:
        options |= _limit(Budget.of(asked.budget), asked.n_trials)
    metric = metrics[0] if len(metrics) == 1 else metrics
    given = [list(on.recommended) if explainers is None else explainers] if asked.together else explainers or []
    return [on.tune(one, metric, **options) for one in given]


def _limit(budget: Budget, n_trials: int | None) -> dict[str, Any]:
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


def ranked(asked: Rank) -> Ranking:
    """Tune all explainers and rank them."""
    on = auto(asked)
    deciding = chosen("metrics", asked.metrics, on)
    options: dict[str, Any] = {} if deciding is None else {"deciding": deciding}
    if asked.n_trials is not None:
        options["n_trials"] = asked.n_trials
    return on.rank(
        chosen("explainers", asked.explainers, on), count=asked.count or _TUNED_ON, budget=asked.budget,
        storage=asked.storage, **options,
    )  # fmt: skip


def compared(asked: Compare, folder: Path, arguments: Sequence[str]) -> Results:
    """Compare on all examples, into a run folder."""
    on = auto(asked)
    given: dict[str, Any] = {
        "count": asked.count, "keep": asked.keep, "controls": asked.controls, "folder": folder,
        "facts": {"command": shlex.join(["pnpxai", *arguments])},
    }  # fmt: skip
    explainers, metrics = chosen("explainers", asked.explainers, on), chosen("metrics", asked.metrics, on)
    if asked.tuned is not None:
        explainers = [*(on.recommended if explainers is None else explainers), *_found(Path(asked.tuned), on)]
    if asked.workers == 1:
        return on.compare(explainers, metrics, **given)
    with worker_pool(asked.workers) as executor:
        return on.compare(explainers, metrics, executor=executor, **given)


def write_json(path: Path, found: Any) -> None:
    """Write JSON, complete or not at all."""
    write_file(path, partial(Path.write_text, data=json.dumps(found, indent=1), encoding="utf-8"))


def _found(path: Path, on: AutoExplanation) -> list[TuningResult]:
    """Return what was tuned, from a file of tune or of rank."""
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        results = written["tuned"].values() if isinstance(written, dict) else written
        return [TuningResult.from_dict(one, on.model) for one in results]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise ArgumentError(f"tuned: {path} holds nothing that tune or rank wrote ({problem})") from problem
