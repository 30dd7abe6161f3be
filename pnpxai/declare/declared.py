"""Turns the annotated fields of a class into its signature, checks, tunables, text, equality and JSON."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Self, TypeVar, dataclass_transform

import numpy as np
import pydantic
import pydantic.dataclasses

from pnpxai.declare.encoding import comparable, decoded, encoded, setting_text
from pnpxai.declare.marks import Bound, Choice, Range, Tunable
from pnpxai.declare.messages import translated
from pnpxai.declare.registry import every, qualified_name
from pnpxai.errors import ArgumentError, SignatureError, did_you_mean
from pnpxai.files import Json
from pnpxai.migration import missing_attribute
from pnpxai.model_types import Model

if typing.TYPE_CHECKING:
    from pnpxai.strategies.base import Strategy
    from pnpxai.traits import Traits

__all__ = ["Bound", "Choice", "Declared", "Range", "Tunable"]

D = TypeVar("D", bound="Declared")


@dataclasses.dataclass(frozen=True)
class _Field:
    annotation: Any
    default: object
    keyword_only: bool

    @property
    def type(self) -> Any:
        """The type of a value; for a strategy that may be named (``Baseline | str``), the strategy's type."""
        bare = typing.get_args(self.annotation)[0] if self.marks else self.annotation
        members = typing.get_args(bare) if isinstance(bare, types.UnionType) else ()
        return next((member for member in members if str in members and hasattr(member, "from_name")), bare)

    @property
    def marks(self) -> tuple[object, ...]:
        return typing.get_args(self.annotation)[1:] if typing.get_origin(self.annotation) is Annotated else ()

    def mark(self, kind: type) -> Any:
        return next((m for m in self.marks if isinstance(m, kind) or m is kind), None)

    @property
    def checked(self) -> Any:
        """The annotation for pydantic: a strategy may also be given by its name."""
        by_name = getattr(self.type, "from_name", None)
        if by_name is None:
            return self.annotation
        return Annotated[(self.type, *self.marks, pydantic.BeforeValidator(by_name))]

    @property
    def required(self) -> bool:
        return self.default is dataclasses.MISSING


def _field(annotation: Any, default: object, keyword_only: bool) -> _Field:
    if isinstance(default, dataclasses.Field):
        return _Field(annotation, default.default, keyword_only or default.kw_only is True)
    return _Field(annotation, default, keyword_only)


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
class Declared:
    """Is a frozen value whose annotated fields are its settings.

    A subclass is abstract (``class Explainer(Declared, abstract=True)``) or final. The arguments of a final class are
    the required fields of its bases, then its own fields, then the optional fields of its bases, nearest base first.
    ``keyword_only=True`` on a base makes the fields that subclasses add keyword arguments.
    """

    abstract: ClassVar[bool] = True
    _added: ClassVar[dict[str, _Field]] = {}
    _fields: ClassVar[dict[str, _Field]] = {}
    _hashed: ClassVar[tuple[str, ...]]
    _keyword_only: ClassVar[bool] = False

    def __init_subclass__(cls, abstract: bool = False, keyword_only: bool = False, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        by_name_only = cls._keyword_only
        cls.abstract = abstract
        cls._keyword_only = keyword_only or by_name_only
        cls._added = {
            name: _field(annotation, cls.__dict__.get(name, dataclasses.MISSING), by_name_only)
            for name, annotation in inspect.get_annotations(cls, eval_str=True).items()
            if typing.get_origin(annotation) is not ClassVar and annotation is not ClassVar
        }
        if not abstract:
            _finish(cls)

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuse settings that are legal one by one but not together (raises ArgumentError)."""

    if not typing.TYPE_CHECKING:  # otherwise a type checker would accept every name
        __getattr__ = missing_attribute

    def replace(self, **changes: object) -> Self:
        """Return a copy with some settings changed, checked like a new one."""
        unknown = [name for name in changes if name not in self._fields]
        if unknown:
            raise SignatureError(
                f"{type(self).__name__}: no setting {unknown[0]!r}{did_you_mean(unknown[0], self._fields)}"
            )
        return type(self)(**{name: getattr(self, name) for name in self._fields} | changes)

    @classmethod
    def get_tunables(cls, traits: Traits | None = None) -> dict[str, Tunable]:
        """Return the settings worth searching: ``{name: (type, kwargs)}``.

        Args:
            traits: facts about the data; strategies that do not suit them are left out.
        """
        tunables: dict[str, Tunable] = {}
        for name, field in cls._fields.items():
            if limits := field.mark(Range):
                tunables[name] = limits.tunable(_number_type(field.type))
            elif choice := field.mark(Choice):
                if choice.options:
                    tunables[name] = (list, {"choices": list(choice.options)})
                else:
                    # a strategy that needs data (a background, a vocabulary) is searched only if the traits have one
                    strategies_made = {type(strategy) for strategy in getattr(traits, "ready", ())}
                    kinds = every(field.type)
                    ready = [
                        c for c in kinds if c in strategies_made or not any(f.required for f in c._fields.values())
                    ]
                    suitable = [c for c in ready if traits is None or cls.takes(c, traits)]
                    tunables[name] = (field.type, {"choices": [c.name for c in suitable]})
        return tunables

    @classmethod
    def takes(cls, strategy: type[Strategy], traits: Traits) -> bool:
        """Return whether a strategy may be searched on such data."""
        return strategy.suits(traits)

    @classmethod
    def defaults(cls) -> dict[str, object]:
        """Return the default of every optional setting."""
        return {name: field.default for name, field in cls._fields.items() if not field.required}

    def settings(self, *, changed_only: bool = False) -> dict[str, object]:
        """Return the settings by name, without those that are bound to this process.

        Args:
            changed_only: leave out settings that have their default value.
        """
        values = {name: getattr(self, name) for name, field in self._fields.items() if not field.mark(Bound)}
        if not changed_only:
            return values
        return {n: v for n, v in values.items() if comparable(v, self) != comparable(self._default_value(n), self)}

    @classmethod
    def _default_value(cls, name: str) -> object:
        field = cls._fields[name]
        convert = getattr(field.type, "from_name", None)
        return convert(field.default) if convert and isinstance(field.default, str) else field.default

    def to_dict(self) -> dict[str, Json]:
        """Return the settings as a JSON-ready dictionary that ``from_dict`` reads.

        Raises:
            ArgumentError: a setting cannot be written (a lambda, a layer that is not the model's); names the field.
        """
        written = {name: encoded(value, name, self) for name, value in self.settings().items()}
        return {"type": _type_name(type(self))} | written

    @classmethod
    def from_dict(cls, data: Mapping[str, Json], model: Model | None = None) -> Self:
        """Return the value of a dictionary that ``to_dict`` wrote. Nothing is executed, and nothing is imported.

        Args:
            data: the dictionary.
            model: the model to bind to, where the class has one.
        """
        target = _find_type(cls, data)
        values = {name: decoded(value, name, model, _build) for name, value in data.items() if name != "type"}
        if "model" in target._fields:
            values["model"] = model
        return target(**values)

    @classmethod
    def searched(cls) -> tuple[str, ...]:
        """Return the names of the settings that can be searched; other settings follow from the data or the call."""
        return tuple(n for n, field in cls._fields.items() if field.mark(Range) or field.mark(Choice))

    def chosen(self) -> str:
        """Return the text of ``repr`` with only the settings that can be searched."""
        return self._written(self.searched())

    def __repr__(self) -> str:
        return self._written({*self.searched(), *self.settings(changed_only=True)})

    def _written(self, names: Collection[str]) -> str:
        listed = {n: v for n, v in self.settings().items() if n in names}
        return f"{type(self).__name__}({', '.join(f'{n}={setting_text(v, self)}' for n, v in listed.items())})"

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other) or not isinstance(other, Declared):
            return NotImplemented
        return comparable(self.settings(), self) == comparable(other.settings(), other)

    def __hash__(self) -> int:
        # numbers are enough: equal settings have equal numbers, and no other setting must be compared or written
        values = (getattr(self, name) for name in self._hashed)
        return hash((type(self), *(value for value in values if isinstance(value, (int, float)))))


def _finish(cls: type[Declared]) -> None:
    """Turn a final class into a validated dataclass."""
    lineage = [base for base in cls.__mro__ if issubclass(base, Declared)]
    nearest: dict[str, _Field] = {}
    for base in lineage:
        for name, field in base.__dict__.get("_added", {}).items():
            nearest.setdefault(name, field)
    own = set(cls._added)
    first = {n: f for n, f in nearest.items() if f.required and n not in own}
    cls._fields = first | {n: f for n, f in nearest.items() if n not in first}
    cls._hashed = tuple(name for name, field in cls._fields.items() if not field.mark(Bound))
    cls.__annotations__ = {name: field.checked for name, field in cls._fields.items()}
    for name, field in cls._fields.items():
        if field.keyword_only:
            setattr(cls, name, dataclasses.field(default=field.default, kw_only=True))
        elif not field.required:
            setattr(cls, name, field.default)
    config = pydantic.ConfigDict(
        strict=True, extra="forbid", arbitrary_types_allowed=True, validate_default=True, allow_inf_nan=False
    )
    pydantic.dataclasses.dataclass(frozen=True, eq=False, repr=False, config=config)(cls)
    cls.__setattr__ = _unchanging
    validate = cls.__init__

    @functools.wraps(validate)
    def __init__(self: Declared, *args: object, **kwargs: object) -> None:
        try:
            validate(self, *map(_plain, args), **{name: _plain(value) for name, value in kwargs.items()})
        except pydantic.ValidationError as invalid:
            annotations = {name: field.annotation for name, field in cls._fields.items()}
            raise translated(cls, annotations, invalid) from None

    cls.__init__ = __init__
    signature = inspect.signature(cls)
    plain = [p.replace(annotation=cls._fields[p.name].type) for p in signature.parameters.values()]
    cls.__signature__ = signature.replace(parameters=plain, return_annotation=inspect.Signature.empty)  # type: ignore[attr-defined]


def _unchanging(self: Declared, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(
        f"{type(self).__name__} never changes: replace({name}=...) gives a new, checked one"
    )


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _number_type(annotation: object) -> type:
    return annotation if annotation in (int, float) else float


def _type_name(cls: type) -> str:
    return cls.__name__ if cls.__module__.startswith("pnpxai.") else qualified_name(cls)


def _find_type(base: type[D], data: Mapping[str, Json]) -> type[D]:
    name = data.get("type")
    if not base.abstract:
        if name not in (None, _type_name(base)):
            raise ArgumentError(f"from_dict: expected settings of {base.__name__}, got those of {name!r}")
        return base
    classes = every(base) if base is not Declared else _loaded(base)
    named = [cls for cls in classes if _type_name(cls) == name]
    if not named:
        raise ArgumentError(
            f"from_dict: no class {name!r} is loaded{did_you_mean(str(name), [_type_name(cls) for cls in classes])}"
        )
    # a baseline and a target may have the same name: the dictionary has the settings of one of them
    return next((cls for cls in named if set(data) <= {"type", *cls._fields}), named[0])


def _loaded(base: type[D]) -> list[type[D]]:
    def below(cls: type[D]) -> Iterator[type[D]]:
        for child in cls.__subclasses__():
            yield child
            yield from below(child)

    return [cls for cls in below(base) if not cls.abstract]


def _build(data: Mapping[str, Json], model: Model | None) -> Declared:
    return _find_type(Declared, data).from_dict(data, model)
