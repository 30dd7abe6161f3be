"""The commands, each a function of its options. Modules that take long to import are imported when one runs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated

import typer

import pnpxai
from pnpxai.cli.command import Answer, Group, offer
from pnpxai.cli.options import Compare, Demo, Explain, OnData, Rank, Run, Tune

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pnpxai.experiment import Results

__all__ = ["app"]

app = typer.Typer(cls=Group, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(pnpxai.__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Explain PyTorch models: find what fits, tune it, compare it, see how far to trust it."""


def doctor(options: OnData) -> Answer:
    """Say which explainers fit a model (and data), which do not, and why."""
    from pnpxai.cli.objects import auto, model_of
    from pnpxai.recommender import recommend
    from pnpxai.report.terminal import fit

    on = None if options.data is None else auto(options)
    fitting = recommend(model_of(options)) if on is None else on.recommended
    assumed = [] if on is None else list(on.assumed)
    return Answer(
        "\n".join([*assumed, fit(fitting, get_terminal_size().columns)]),
        {
            "model": fitting.facts.name, "parts": sorted(fitting.facts.parts), "assumed": assumed,
            "fits": [cls.__name__ for cls in fitting.in_order], "reasons": fitting.reasons,
            "start_with": [cls.__name__ for cls in fitting.start_with], "seconds": dict(fitting.seconds),
        },
    )  # fmt: skip


def explain(options: Explain) -> Answer:
    """Explain pictures at a glance, what a language model writes, and other data by a folder for each explainer."""
    from pnpxai.cli.actions import at_a_glance, explained, overviews
    from pnpxai.cli.generation import explained_response
    from pnpxai.cli.objects import auto, writable

    if options.prompt is not None:
        with writable(Path(options.out or "pnpxai-explanations")) as folder:
            found = explained_response(options, folder)
        text = "\n\n".join(f"{of['text']}\n{of['picture']}" for of in found.values())
        return Answer(text, found)
    with writable(Path(options.out or "pnpxai-explanations")) as folder:
        on = auto(options)
        if at_a_glance(options, on):
            shown = overviews(options, on, folder)
            text = "\n".join(f"{overview}\nPicture: {path}" for path, overview in shown)
            return Answer(text, [{"picture": str(path), **overview.to_dict()} for path, overview in shown])
        written = explained(options, on, folder)
    width = max(map(len, written), default=0)
    lines = [f"{name:{width}}  {of['seconds']:6.2f} s  {of['picture']}" for name, of in written.items()]
    return Answer("\n".join(lines), written)


def tune(options: Tune) -> Answer:
    """Search explainers' settings for the best mean value of a metric; the gain is measured on held-out examples."""
    from pnpxai.cli.actions import tuned

    with _file_of(options.out, "tuned.json") as write:
        results = tuned(options)
        data = [result.to_dict() for result in results]
        written = write(data)
    return Answer("\n\n".join([*map(str, results), *written]), data)


def rank(options: Rank) -> Answer:
    """Tune all explainers under one budget, and rank them on held-out examples: which one ranks first?"""
    from pnpxai.cli.actions import ranked
    from pnpxai.report.terminal import ranking as table

    with _file_of(options.out, "ranking.json") as write:
        ranking = ranked(options)
        written = write(ranking.to_dict())
    notes = [f"gain: over the default on {ranking.decision.n} held-out examples; the intervals are in --json"]
    notes += [f"{label} failed: {reason}" for label, reason in ranking.failed.items()]
    notes += [f"given up while tuning: {', '.join(ranking.dropped)}"] if ranking.dropped else []
    notes += [f"{ranking.trials} trials in {ranking.seconds:.0f} s, {ranking.rows}", *written]
    return Answer("\n".join([ranking.decision.sentence(), _drawn(table(ranking)), *notes]), ranking.to_dict())


def compare(options: Compare) -> Answer:
    """Compare explainers on all examples, into a run folder with a report; the same command goes on where it was."""
    from pnpxai.cli.actions import compared
    from pnpxai.cli.objects import writable
    from pnpxai.report import write_report
    from pnpxai.report.terminal import comparison

    with writable(Path(options.out or "pnpxai-run")) as folder:
        results = compared(options, folder, sys.argv[1:])
        path = write_report(results, folder / "report.html")
    text = f"{results.decision.sentence()}\n{_drawn(comparison(results))}"
    return Answer(f"{text}\nRun: {folder}\nReport: {path}", _summary(results, folder, path))


def report(options: Run) -> Answer:
    """Write the report of a run folder as one HTML file."""
    from pnpxai.experiment import Results
    from pnpxai.report import write_report

    folder = Path(options.folder)
    title: dict[str, str] = {} if options.title is None else {"title": options.title}
    path = write_report(Results.load(folder), options.out or folder / "report.html", **title)
    return Answer(str(path), {"report": str(path)})


def demo(options: Demo) -> Answer:
    """Train a digit classifier, explain it with all that fits, tune, compare, and write a report."""
    import torch

    from pnpxai.cli.objects import writable
    from pnpxai.demo import explain_photos, run

    if options.photos:
        with writable(Path(options.out)) as folder:
            shown = explain_photos(folder)
        text = "\n\n".join(f"{file}\n{overview}" for file, overview in shown.items())
        return Answer(text, {str(file): overview.to_dict() for file, overview in shown.items()})
    torch.set_num_threads(1)  # so small a network keeps no second thread busy: they would wait for each other
    console = _console()
    with writable(Path(options.out)) as folder:
        results = run(folder, seed=options.seed, n_trials=options.n_trials, n_images=options.n_images, console=console)
    tuned = {"tuned": str(folder / "tuned.json")}
    return Answer(_text_of(console), _summary(results, folder / "run", folder / "report.html") | tuned)


for command in (doctor, explain, tune, rank, compare, report, demo):
    offer(app, command)


def _console() -> Console:
    """Return a console that stores its text as the terminal would show it."""
    from rich.console import Console

    return Console(file=StringIO(), force_terminal=(sys.__stdout__ or sys.stdout).isatty() or None)


def _text_of(console: Console) -> str:
    assert isinstance(console.file, StringIO)  # noqa: S101  (a console of ``_console``)
    return "\n".join(line.rstrip() for line in console.file.getvalue().strip("\n").splitlines())


def _drawn(table: Table) -> str:
    console = _console()
    console.print(table)
    return _text_of(console)


def _summary(results: Results, folder: Path, path: Path) -> dict[str, object]:
    decision = results.decision
    return {
        "folder": str(folder), "report": str(path), "best": decision.best, "set": decision.set,
        "statistics": results.statistics().to_dict("records"),
    }  # fmt: skip


@contextlib.contextmanager
def _file_of(out: str | None, example: str) -> Iterator[Callable[[Mapping[str, object] | Sequence[object]], list[str]]]:
    """Lend a function that writes JSON to a file, if one is named, and returns the lines to print about it.

    The file is known to be writable before anything long begins.
    """
    from pnpxai.cli.objects import writable
    from pnpxai.errors import ArgumentError
    from pnpxai.files import write_json

    if out is None:
        yield lambda data: []
        return
    path = Path(out)
    if path.is_dir():
        raise ArgumentError(f"out: expected a file such as {path / example}, got the folder {path}")

    def write(data: Mapping[str, object] | Sequence[object]) -> list[str]:
        write_json(path, data)
        return [f"Written: {path}"]

    with writable(path.parent):
        yield write
