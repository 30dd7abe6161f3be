"""Writes the reference from the declarations while the docs are built: no list of classes or settings is kept here."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import pnpxai
from pnpxai import attributors
from pnpxai.declare.declared import Declared
from pnpxai.declare.registry import every
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.base import Metric
from pnpxai.metrics.faithfulness.imputation import Imputer
from pnpxai.statistics import DecisionRule
from pnpxai.strategies.base import Strategy
from pnpxai.traits import Traits

FOLDER = "reference"
DATA = {"image": Traits.image(), "text": Traits.text(), "series": Traits.series(), "table": Traits.table()}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages and their place in the navigation (called by MkDocs)."""
    pages = {slug: (title, text) for slug, title, text in _pages()}
    for slug, (_, text) in pages.items():
        files.append(File.generated(config, f"{FOLDER}/{slug}.md", content=text))
    entries = [{title: f"{FOLDER}/{slug}.md"} for slug, (title, _) in pages.items()]
    config.nav = [*(config.nav or []), {"Reference": entries}]
    return files


def _pages() -> Iterator[tuple[str, str, str]]:
    """Yield (slug, title, Markdown) of each page."""
    yield "public", "Public names", _public_page()
    for kind in _kinds():
        yield _slug(kind), _title(kind), _kind_page(kind)
    yield "attributors", "Attributors", _attributors_page()


@functools.cache
def _kinds() -> tuple[type[Declared], ...]:
    """Return the abstract classes whose final subclasses make up a page each."""
    every(Strategy)  # imports the modules
    strategies = sorted((kind for kind in Strategy.__subclasses__() if kind.abstract), key=lambda kind: kind.__name__)
    return Explainer, Metric, Imputer, *strategies, DecisionRule


def _title(kind: type) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.__name__).capitalize()
    return words if words.endswith("ing") or words.endswith("tion") else f"{words}s"


def _slug(kind: type) -> str:
    return _title(kind).lower().replace(" ", "-")


# --- a page of declared classes


def _kind_page(kind: type[Declared]) -> str:
    classes = every(kind, within="pnpxai.")
    lines = [f"# {_title(kind)}", "", _markdown(inspect.getdoc(kind)), ""]
    lines += ["| name | in one line |", "|---|---|"]
    for cls in classes:
        first = _inline(inspect.getdoc(cls) or "").partition("\n")[0]
        lines.append(f"| [`{_called(cls)}`](#{cls.__name__.lower()}) | {_cell(first)} |")
    if common := [(f"`{name}`", *rest) for name, *rest in _settings(kind) if name != "model"]:
        lines += ["", "## Settings that all have", "", *_table(("setting", "type", "default", "meaning"), common)]
    if facts := _facts(kind):
        lines += ["", "## Facts", "", "What a class states about itself; below, where it differs from the default.", ""]
        lines += _table(("fact", "default", "meaning"), [(f"`{n}`", _shown(d), m) for n, (d, m) in facts.items()])
    for cls in classes:
        lines += ["", *_class_section(cls, kind)]
    return "\n".join(lines)


def _class_section(cls: type[Declared], kind: type[Declared]) -> Iterator[str]:
    yield f"## {cls.__name__}"
    yield ""
    yield _markdown(inspect.getdoc(cls))
    yield ""
    for base in cls.__mro__[1:]:  # what several classes share is said once, where they inherit it from
        if issubclass(base, kind) and base is not kind and base.__doc__:
            yield from (_markdown(inspect.getdoc(base)), "")
    own = list(_own_settings(cls, kind))
    if own:
        yield from (*_table(("setting", "type", "default", "searched", "meaning"), own), "")
    stated = [f"`{n}`: {_shown(getattr(cls, n))}" for n, (d, _) in _facts(kind).items() if getattr(cls, n, d) != d]
    if cls.__dict__.get("name"):
        stated.insert(0, f'chosen by the name `"{_called(cls)}"`')
    if names := getattr(cls, "aliases", ()):
        stated.append("also called " + ", ".join(f"`{name}`" for name in names))
    if hasattr(cls, "suits"):
        stated.append("suits " + ", ".join(name for name, traits in DATA.items() if cls.suits(traits)))
    if stated:
        yield "; ".join(stated)[0].upper() + "; ".join(stated)[1:] + "."


def _own_settings(cls: type[Declared], kind: type[Declared]) -> Iterator[tuple[str, ...]]:
    tunables = cls.get_tunables()
    common = {name for name, *_ in _settings(kind)}
    for name, kind_of, default, meaning in _settings(cls):
        if name not in common:
            yield f"`{name}`", kind_of, default, _searched(tunables.get(name)), meaning


def _settings(cls: type[Declared]) -> list[tuple[str, str, str, str]]:
    """Return (name, type, default, meaning) of the declared fields, in the order of the declarations."""
    found: dict[str, tuple[str, str, str, str]] = {}
    defaults = cls.defaults()
    for base in cls.__mro__:
        if base is Declared or not issubclass(base, Declared):
            break
        for node, meaning in _annotated(base):
            name = ast.unparse(node.target)
            if "ClassVar" in ast.unparse(node.annotation):
                continue
            if name in found:  # named again for its place in the signature: the meaning stands where it was declared
                found[name] = (*found[name][:3], found[name][3] or meaning)
                continue
            value = defaults.get(name, node.value)
            default = "required" if value is None and name not in defaults and node.value is None else _default(value)
            found[name] = (name, _type(node.annotation), default, meaning)
    return list(found.values())


def _default(value: Any) -> str:
    if isinstance(value, ast.Call):  # dataclasses.field(default=...)
        value = next(keyword.value for keyword in value.keywords if keyword.arg == "default")
    return f"`{ast.unparse(value)}`" if isinstance(value, ast.AST) else f"`{value!r}`"


def _facts(kind: type[Declared]) -> dict[str, tuple[Any, str]]:
    """Return {name: (default, meaning)} of the documented class variables; ``None`` stands for no default."""
    return {
        ast.unparse(node.target): (kind.__dict__.get(ast.unparse(node.target)), meaning)
        for node, meaning in _annotated(kind)
        if "ClassVar" in ast.unparse(node.annotation) and meaning
    }


@functools.cache
def _annotated(cls: type) -> tuple[tuple[ast.AnnAssign, str], ...]:
    """Return the annotated names of a class body, each with the docstring that follows it."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]
    found = []
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign):
            documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            found.append((node, _inline(inspect.cleandoc(after.value.value)) if documented else ""))
    return tuple(found)


SIGNS = {"Ge": "≥", "Gt": ">", "Le": "≤", "Lt": "<"}


def _type(annotation: ast.expr) -> str:
    """Show ``Annotated[int, Ge(1), Range(...)]`` as ``int`` ≥ 1; a strategy as a link to its page."""
    if isinstance(annotation, ast.BinOp):
        return " or ".join(map(_type, (annotation.left, annotation.right)))
    annotation, *marks = _arguments("Annotated", annotation) or [annotation]
    if options := _arguments("Literal", annotation):
        return " or ".join(f"`{ast.unparse(option)}`" for option in options)
    name = ast.unparse(annotation)
    page = next((_slug(kind) for kind in _kinds() if kind.__name__ == name.rpartition(".")[2]), None)
    shown = f"[`{name.rpartition('.')[2]}`]({page}.md)" if page else f"`{name}`"
    limits = [
        f"{SIGNS[mark.func.id]} {ast.unparse(mark.args[0])}"
        for mark in marks
        if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id in SIGNS
    ]
    return " ".join([shown, " and ".join(limits)]).strip()


def _arguments(generic: str, annotation: ast.expr) -> list[ast.expr]:
    """Return what stands in the brackets of ``generic[...]``, nothing for another type."""
    if not isinstance(annotation, ast.Subscript) or ast.unparse(annotation.value) != generic:
        return []
    return annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]


def _searched(tunable: tuple[type, dict[str, Any]] | None) -> str:
    if tunable is None:
        return "–"
    _, how = tunable
    if "choices" in how:
        return ", ".join(f"`{choice}`" for choice in how["choices"])
    step = f", step {how['step']:g}" if "step" in how else ""
    return f"{how['low']:g} to {how['high']:g}{step}{', log scale' if how.get('log') else ''}"


# --- a page of classes with an attribute method, and one of the public names


def _attributors_page() -> str:
    lines = ["# Attributors", "", _markdown(inspect.getdoc(attributors)), ""]
    lines += [_markdown(inspect.getdoc(attributors.Attributor)), ""]
    for name in sorted(set(attributors.__all__) - {"Attributor"}):
        cls = getattr(attributors, name)
        if not (inspect.isclass(cls) or inspect.isroutine(cls)):  # a type, such as that of a statistic's value
            continue
        lines += [f"## {name}", "", _markdown(inspect.getdoc(cls)), "", _code(name, cls), ""]
        if method := cls.__dict__.get("attribute"):
            lines += [_code("attribute", method), "", _markdown(inspect.getdoc(method)), ""]
    return "\n".join(lines) + "\n"


def _public_page() -> str:
    lines = ["# Public names", "", "What `import pnpxai` offers; all else may move.", ""]
    for name in sorted(pnpxai.__all__, key=str.lower):
        member = getattr(pnpxai, name)
        if not (inspect.isclass(member) or inspect.isroutine(member)):
            continue
        lines += [f"## {name}", "", _markdown(inspect.getdoc(member)), "", _code(name, member), ""]
        for key, method in vars(member).items() if inspect.isclass(member) else ():
            own = method.fget if isinstance(method, property) else getattr(method, "__func__", method)
            if key.startswith("_") or not inspect.isfunction(own) or not own.__doc__:
                continue
            lines += [f"### {name}.{key}", ""]
            lines += [] if isinstance(method, property) else [_code(key, own), ""]
            lines += [_markdown(inspect.getdoc(own)), ""]
    return "\n".join(lines) + "\n"


def _code(name: str, called: Any) -> str:
    """Return a signature as a block of code, one parameter a line where it is long."""
    try:
        signature = inspect.signature(called)
    except (TypeError, ValueError):
        return ""
    kept = [p.replace(annotation=_named(p.annotation)) for p in signature.parameters.values() if p.name != "self"]
    shown = [re.sub(r": '([^']*)'", r": \1", str(p)) for p in kept]
    kinds = [p.kind for p in kept]
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        shown.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    line = f"{name}({', '.join(shown)})"
    if len(line) > 90:
        line = f"{name}(\n" + "".join(f"    {part},\n" for part in shown) + ")"
    return f"```python\n{line}\n```"


def _named(annotation: Any) -> Any:
    if annotation is inspect.Parameter.empty or isinstance(annotation, str):
        return annotation
    return re.sub(r"\b[a-zA-Z_][\w.]*\.(?=\w)", "", inspect.formatannotation(annotation))


# --- Markdown

SECTIONS = {"Args:", "Returns:", "Raises:", "Attributes:"}


def _markdown(docstring: str | None) -> str:
    """Turn a docstring (Google style, double backticks) into Markdown."""
    lines: list[str] = []
    in_section = False
    for line in _inline(docstring or "").splitlines():
        if line.strip() in SECTIONS:
            in_section = True
            lines += [f"**{line.strip()[:-1]}**", ""]
        elif in_section and re.match(r"    \S", line):
            name, colon, meaning = line.strip().partition(": ")
            lines.append(f"- `{name}`: {meaning}" if colon and " " not in name else f"- {line.strip()}")
        elif in_section and line.startswith("      "):
            lines[-1] += " " + line.strip()
        else:
            in_section = in_section and not line
            lines.append(line)
    return "\n".join(lines)


def _inline(text: str) -> str:
    return text.replace("``", "`")


def _called(cls: type) -> str:
    return cls.__dict__.get("name") or cls.__name__


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"


def _cell(text: str) -> str:
    return re.sub(r"(`[^`]*`)|\|", lambda found: found[1] or r"\|", text).replace("\n", " ")


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "none"
    return "–" if value is None else f"`{value}`"
