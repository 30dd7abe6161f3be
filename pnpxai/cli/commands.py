"""The commands. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

import pnpxai

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Model = Annotated[str | None, typer.Argument(help="module:attribute, or a Python file that defines a model.")]
Data = Annotated[
    str | None, typer.Argument(help="A folder of pictures, .npy, .npz, .csv, .parquet, or module:attribute.")
]
OptionsFile = Annotated[
    Path | None, typer.Option("--options", help="A YAML or JSON file with options; those given here go first.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Modality = Annotated[str | None, typer.Option(help="image, text, table or series; by default told from the data.")]
Label = Annotated[str | None, typer.Option(help="The column or array that holds true classes.")]
Size = Annotated[int | None, typer.Option(min=1, help="Scale pictures to this height and width.")]
Target = Annotated[int | None, typer.Option(help="Explain this output; by default the largest.")]
Names = Annotated[list[str] | None, typer.Option("--explainer", "-e", help="A name; several times for several.")]
Metrics = Annotated[list[str] | None, typer.Option("--metric", "-m", help="A name; several times for several.")]
Count = Annotated[int | None, typer.Option(min=1, help="How many examples, from the first.")]
Seed = Annotated[int | None, typer.Option(help="Fixes all that is drawn at random.")]
Out = Annotated[str | None, typer.Option(help="Where to write.")]


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


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Say in one line why it could not be done."""
    from pnpxai.errors import ArgumentError, ConfinedError, MissingExtraError, OutOfMemoryError

    try:
        yield
    except ArgumentError as wrong:
        _leave(str(wrong), 2)
    except OSError as problem:
        name = f"{problem.filename}: " if problem.filename else ""
        _leave(f"{name}{problem.strerror or problem}", 1)
    except (ConfinedError, MissingExtraError, OutOfMemoryError) as problem:
        _leave(str(problem), 1)
    except KeyboardInterrupt:
        _leave("interrupted; what a run folder holds is kept, the same command goes on", 130)


def _leave(message: str, code: int) -> None:
    typer.echo(f"pnpxai: {' '.join(message.split())}", err=True)
    raise typer.Exit(code)


@app.command()
def doctor(
    model: Model = None,
    data: Data = None,
    options: OptionsFile = None,
    modality: Modality = None,
    label: Label = None,
    size: Size = None,
    as_json: AsJson = False,
) -> None:
    """Say which explainers fit a model (and data), which do not, and why."""
    with _told():
        from pnpxai.cli.asked import Asked

        asked = Asked.of(options, model=model, data=data, modality=modality, label=label, size=size)
        found = asked.recommended()
        if as_json:
            _print({
                "model": found.facts.name, "parts": sorted(found.facts.parts), "reasons": found.reasons,
                "fits": [cls.__name__ for cls in found.explainers],
            })  # fmt: skip
        else:
            typer.echo(str(found))


@app.command()
def explain(
    model: Model = None,
    data: Data = None,
    options: OptionsFile = None,
    explainer: Names = None,
    modality: Modality = None,
    label: Label = None,
    size: Size = None,
    target: Target = None,
    count: Count = None,
    seed: Seed = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Explain examples; a folder for each explainer, with tensors, settings and a picture."""
    with _told():
        from pnpxai.cli.asked import Asked

        asked = Asked.of(
            options, model=model, data=data, explainers=explainer, modality=modality, label=label, size=size,
            target=target, count=count, seed=seed, out=out,
        )  # fmt: skip
        folder = asked.folder("pnpxai-explanations")
        written = asked.explained(folder)
        if as_json:
            _print(written)
        else:
            for name, of in written.items():
                typer.echo(f"{name}: {of['folder']}")


@app.command()
def tune(
    model: Model = None,
    data: Data = None,
    options: OptionsFile = None,
    explainer: Names = None,
    metric: Metrics = None,
    modality: Modality = None,
    label: Label = None,
    size: Size = None,
    target: Target = None,
    count: Count = None,
    n_trials: Annotated[int | None, typer.Option(min=1, help="How many settings are tried.")] = None,
    seed: Seed = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Search explainers' settings for the best mean value of a metric; the gain is measured on held-out examples."""
    with _told():
        from pnpxai.cli.asked import Asked

        asked = Asked.of(
            options, model=model, data=data, explainers=explainer, metrics=metric, modality=modality, label=label,
            size=size, target=target, count=count, n_trials=n_trials, seed=seed, out=out,
        )  # fmt: skip
        results = asked.tuned()
        if as_json:
            _print([result.to_dict() for result in results])
        else:
            for result in results:
                typer.echo(str(result))


@app.command()
def compare(
    model: Model = None,
    data: Data = None,
    options: OptionsFile = None,
    explainer: Names = None,
    metric: Metrics = None,
    modality: Modality = None,
    label: Label = None,
    size: Size = None,
    target: Target = None,
    count: Count = None,
    seed: Seed = None,
    keep: Annotated[int | None, typer.Option(min=0, help="How many examples' maps are kept.")] = None,
    tuned: Annotated[str | None, typer.Option(help="A file that tune wrote: compare what it found too.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="How many processes do the work.")] = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Compare explainers on all examples, into a run folder with a report; the same command goes on where it was."""
    with _told():
        from pnpxai.cli.asked import Asked

        asked = Asked.of(
            options, model=model, data=data, explainers=explainer, metrics=metric, modality=modality, label=label,
            size=size, target=target, count=count, seed=seed, keep=keep, tuned=tuned, workers=workers,
            out=out,
        )  # fmt: skip
        folder = asked.folder("pnpxai-run")
        results = asked.compared(folder, sys.argv[1:])
        path = _reported(results, folder / "report.html", None)
        if as_json:
            best = results.decision
            table = results.statistics().to_dict("records")
            _print({"folder": str(folder), "report": path, "best": best.best, "set": best.set, "statistics": table})
        else:
            typer.echo(f"{results}\n\nRun: {folder}\nReport: {path}")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[Path | None, typer.Option(help="The file; by default report.html in the folder.")] = None,
    title: Annotated[str | None, typer.Option(help="The page's heading.")] = None,
) -> None:
    """Write the report of a run folder as one HTML file."""
    with _told():
        from pnpxai.experiment import Results

        typer.echo(_reported(Results.load(folder), out or folder / "report.html", title))


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="Fixes everything; another seed gives another run.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("pnpxai-demo"),
    n_trials: Annotated[int, typer.Option(min=1, help="Trials for each tuned explainer.")] = 15,
    n_images: Annotated[int, typer.Option(min=32, max=240, help="Held-out digits to compare on.")] = 64,
) -> None:
    """Train a digit classifier, explain it with all that fits, tune, compare, and write a report."""
    with _told():
        import torch

        from pnpxai.demo import run

        torch.set_num_threads(1)  # so small a network keeps no second thread busy: they would wait for each other
        run(out, seed=seed, n_trials=n_trials, n_images=n_images)


def _reported(results: Any, path: Path, title: str | None) -> str:
    from pnpxai.report import write_report

    options: dict[str, Any] = {} if title is None else {"title": title}
    return str(write_report(results, path, command=results.facts.get("command"), **options))


def _print(value: Any) -> None:
    """Print JSON, in which what is undefined is null."""

    def plain(member: Any) -> Any:
        if isinstance(member, dict):
            return {key: plain(of) for key, of in member.items()}
        if isinstance(member, (list, tuple)):
            return [plain(of) for of in member]
        return None if isinstance(member, float) and member != member else member

    typer.echo(json.dumps(plain(value), indent=1, allow_nan=False, default=str))
