"""Runs a command: completes its options, prints its answer on stdout and errors in one line on stderr."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

import pydantic
import typer

from pnpxai.cli.command import Answer
from pnpxai.cli.interruption import interruptible
from pnpxai.cli.options import Options, first_wrong, spelled
from pnpxai.cli.options_file import read_options
from pnpxai.errors import ArgumentError, ConfinedError, MissingExtraError, OutOfMemoryError

__all__ = ["run"]


def run(command: Callable[[Any], Answer], kind: type[Options], values: dict[str, Any]) -> None:
    """Run a command and print its answer.

    Args:
        command: the command's function.
        kind: the options that it takes.
        values: the options of the command line, None for absent ones; they go before those of the file.
    """
    file, as_json, traced = (values.pop(name, None) for name in ("file", "as_json", "traceback"))
    with _errors_in_one_line(bool(traced)):
        of_file = {} if file is None else read_options(Path(file))
        with _results_only():
            options = _options(kind, of_file, {n: v for n, v in values.items() if v not in (None, [])})
            importlib.import_module("pnpxai.cli.actions")  # takes long, so it comes before Ctrl-C is an exception
            with interruptible():
                try:
                    answer = command(options)
                except KeyboardInterrupt:
                    raise KeyboardInterrupt(options.after_interruption()) from None
        typer.echo(
            json.dumps(_plain(answer.data), indent=1, allow_nan=False, default=str)
            if as_json
            else _wrapped(answer.text)
        )


def _options(kind: type[Options], of_file: dict[str, object], values: dict[str, object]) -> Options:
    of_kind = {name: value for name, value in of_file.items() if name in kind.model_fields}
    try:
        return kind.model_validate(of_kind | values)
    except pydantic.ValidationError as invalid:
        name, expected, _ = first_wrong(invalid)
        raise ArgumentError(f"{spelled(kind, name)}: {expected}, got {values.get(name)!r}") from None


@contextlib.contextmanager
def _errors_in_one_line(traced: bool) -> Iterator[None]:
    """End the command with one line that says why it failed; before it comes the traceback, if that is wanted."""
    try:
        yield
    except KeyboardInterrupt as interruption:
        _leave(f"interrupted; {interruption}" if str(interruption) else "interrupted", 130)
    except Exception as problem:
        if traced:
            traceback.print_exc()
        _leave(*_message(problem))


def _message(problem: Exception) -> tuple[str, int]:
    """Return the message for an error, and the exit code."""
    if isinstance(problem, ArgumentError):
        return str(problem), 2
    if isinstance(problem, OSError) and problem.strerror:
        name = f"{problem.filename}: " if problem.filename else ""
        return f"{name}{problem.strerror}", 1
    if isinstance(problem, (ConfinedError, MissingExtraError, OutOfMemoryError, BrokenExecutor)):
        return str(problem), 1
    first = next(iter(str(problem).strip().splitlines()), "")
    return f"{type(problem).__name__}{_place(problem)}: {first} (--traceback shows more)", 1


def _place(problem: Exception) -> str:
    """Return where in the user's code an error came from."""
    frames = traceback.extract_tb(problem.__traceback__)
    own = [f for f in frames if not any(part in Path(f.filename).parts for part in ("site-packages", "pnpxai"))
           and Path(f.filename).is_file() and not f.filename.startswith(os.path.dirname(os.__file__))]  # fmt: skip
    return f" in {Path(own[-1].filename).name}, line {own[-1].lineno}" if own else ""


def _leave(message: str, code: int) -> None:
    typer.echo(f"pnpxai: {' '.join(message.split())}", err=True)
    raise typer.Exit(code)


def _wrapped(text: str) -> str:
    """Return text whose long lines go on below their beginning."""
    width = shutil.get_terminal_size().columns
    lines = []
    for line in text.splitlines():
        own = len(line) - len(line.lstrip())
        indent = " " * (own and own + 2)
        long = len(line.rstrip()) > width and "\x1b" not in line
        lines += textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False) if long else [line]
    return "\n".join(lines)


@contextlib.contextmanager
def _results_only() -> Iterator[None]:
    """Send to stderr what the user's code and other processes print meanwhile."""
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def _plain(value: object) -> object:
    """Return a value as JSON can hold it: numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(of) for key, of in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(of) for of in value]
    return None if isinstance(value, float) and (value != value or abs(value) == float("inf")) else value
