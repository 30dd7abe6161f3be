"""Makes a command of a function: the fields of its options become arguments and help, its answer goes to stdout."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union

import typer
from pydantic.fields import FieldInfo
from typer.core import TyperGroup
from typer.models import ArgumentInfo, OptionInfo, ParameterInfo

from pnpxai.cli.options import Options, OptionsFile

__all__ = ["Answer", "Group", "offer"]

_METAVARS = {int: "N", float: "X", str: "NAME"}
_EPILOG = (
    "Results go to stdout, progress to stderr. Exit codes: 0 done, 1 it could not be done, 2 it was asked wrongly, "
    "130 interrupted."
)


class Group(TyperGroup):
    """The commands. A wrong command line gets a message of one line."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run a command and leave with its exit code."""
        try:
            code = super().main(*arguments, **options | {"standalone_mode": False})
        except Exception as wrong:
            if not hasattr(wrong, "format_message"):  # none of click's, which typer has under a name of its own
                raise
            if message := " ".join(wrong.format_message().split()):  # type: ignore[attr-defined]
                typer.echo(f"pnpxai: {message} (--help shows more)", err=True)
            code = 2
        sys.exit(code or 0)


@dataclass(frozen=True)
class Answer:
    """The answer of a command.

    Attributes:
        text: for people.
        data: the same for programs, as JSON can hold it.
    """

    text: str
    data: object


def offer(app: typer.Typer, command: Callable[[Any], Answer]) -> None:
    """Add a command: a function of options that returns an answer.

    Args:
        app: where to add it.
        command: its name and docstring are the command's; its argument's type says which options it takes.
    """
    kind: type[Options] = typing.get_type_hints(command)["options"]
    of_file = set(kind.model_fields) <= set(OptionsFile.model_fields) and "model" in kind.model_fields

    def called(**values: object) -> None:
        from pnpxai.cli.runner import run

        run(command, kind, values)

    parameters = sorted(_parameters(kind), key=lambda p: not isinstance(_info(p), ArgumentInfo))
    called.__signature__ = inspect.Signature([*parameters, *_of_all(of_file)])
    app.command(name=command.__name__, help=inspect.getdoc(command), epilog=_EPILOG)(called)


def _parameters(kind: type[Options]) -> Iterator[inspect.Parameter]:
    """Yield the options in the order of their groups, as typer reads them."""
    for group in kind.__mro__:
        if issubclass(group, Options):
            for name in inspect.get_annotations(group):
                if name in kind.model_fields:
                    yield _parameter(name, kind.model_fields[name], inspect.getdoc(group) or "")


def _parameter(name: str, field: FieldInfo, group: str) -> inspect.Parameter:
    info = next((mark for mark in field.metadata if isinstance(mark, ParameterInfo)), None) or typer.Option()
    plain = _plain(field.annotation)
    required = field.is_required()
    metavar = None if isinstance(info, ArgumentInfo) else _METAVARS.get(plain)
    own = copy(info)
    own.metavar = info.metavar or metavar
    own.help = _help(field)
    own.show_default = False  # the help says it
    if isinstance(own, OptionInfo):
        own.rich_help_panel = group.partition(".")[0]
    annotation = Annotated[plain if required else plain | None, own]
    default = inspect.Parameter.empty if required else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _help(field: FieldInfo) -> str:
    words = " ".join((field.description or "").replace("``", "").split())
    default = field.default
    if isinstance(default, (int, str)) and not isinstance(default, bool):
        words = f"{words.removesuffix('.')} (default: {default})."
    return words


def _plain(annotation: object) -> type:
    """Return the type that the command line reads; other types are made of text when the options are checked."""
    members = typing.get_args(annotation) if typing.get_origin(annotation) in (Union, UnionType) else (annotation,)
    members = tuple(typing.get_args(m)[0] if typing.get_origin(m) is Annotated else m for m in members)
    kinds = [m for m in members if m is not type(None)]
    if len(kinds) == 1 and typing.get_origin(kinds[0]) is list:
        return list[str]
    return kinds[0] if len(kinds) == 1 and kinds[0] in (int, float, bool) else str


def _of_all(of_file: bool) -> Iterator[inspect.Parameter]:
    """Yield the options that are about the command line itself."""
    own: dict[str, tuple[type, OptionInfo]] = {
        "as_json": (bool, typer.Option("--json", help="Print one JSON document.")),
        "traceback": (bool, typer.Option("--traceback", help="Show where in the code an error came from.")),
    }
    if of_file:
        text = (
            "A YAML or JSON file that holds any of these options by name (explainers and metrics as lists); an option "
        )
        text += "on the command line goes before it."
        own = {"file": (str, typer.Option("--options", metavar="FILE", help=text))} | own
    for name, (kind, option) in own.items():
        yield inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[kind | None if kind is str else kind, option],
            default=None if kind is str else False,
        )  # fmt: skip


def _info(parameter: inspect.Parameter) -> ParameterInfo:
    return parameter.annotation.__metadata__[0]
