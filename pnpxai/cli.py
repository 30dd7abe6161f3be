"""The command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import pnpxai

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


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


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="Fixes everything; another seed gives another run.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("pnpxai-demo"),
    n_trials: Annotated[int, typer.Option(min=1, help="Trials for each tuned explainer.")] = 15,
    n_images: Annotated[int, typer.Option(min=32, max=240, help="Held-out digits to compare on.")] = 64,
) -> None:
    """Train a digit classifier, explain it with all that fits, tune, compare, and write a report."""
    import torch

    from pnpxai.demo import run

    torch.set_num_threads(1)  # so small a network keeps no second thread busy: they would wait for each other
    run(out, seed=seed, n_trials=n_trials, n_images=n_images)
