"""Laws of declared settings: they go through JSON, copies and pickles, and start inside what is searched."""

from __future__ import annotations

import copy
import inspect
import json
import math
import pickle
from collections.abc import Iterable
from typing import Any

from pnpxai.declare.declared import Declared
from pnpxai.declare.registry import by_name, every
from pnpxai.errors import SignatureError
from pnpxai.model_types import Model
from pnpxai.strategies.base import Strategy
from pnpxai.testing.subject import Broken, require

__all__ = ["check_defaults", "check_round_trip", "check_signature", "check_unique_names", "check_unknown_setting"]


def check_round_trip(made: Declared, model: Model | None = None) -> None:
    """It, and its neighbours in its search space, come back equal from JSON, ``copy``, ``deepcopy`` and ``pickle``.

    Args:
        made: an explainer, a metric, a strategy, ...
        model: what it is bound to, if anything.
    """
    require(made.replace() == made, "round trip", "replace() without changes changes something")
    for one in (made, *_neighbours(made)):
        read = type(made).from_dict(json.loads(json.dumps(one.to_dict())), model)
        copies = {"JSON": read, "copy": copy.copy(one), "deepcopy": copy.deepcopy(one)}
        copies["pickle"] = pickle.loads(pickle.dumps(one))
        for how, other in copies.items():
            require(other == one, "round trip", f"through {how}, {one!r} became {other!r}")
            require(hash(other) == hash(one), "round trip", f"through {how}, the hash of {one!r} changed")
            require(repr(other) == repr(one), "round trip", f"through {how}, {one!r} is shown as {other!r}")
        require(one is made or one != made, "round trip", f"{one!r} equals {made!r}")


def check_defaults(declared: type[Declared]) -> None:
    """Every default lies inside its search space, and on its grid."""
    defaults = declared.defaults()
    for name, (kind, space) in declared.get_tunables().items():
        if name not in defaults:
            continue
        default, where = defaults[name], f"{declared.__name__}.{name} = {defaults[name]!r}"
        if "choices" in space:
            chosen = getattr(default, "name", default)
            require(chosen in space["choices"], "default", f"{where} is none of {space['choices']}")
            continue
        inside = space["low"] <= default <= space["high"]
        require(inside, "default", f"{where} is not from {space['low']} to {space['high']}")
        steps = (default - space["low"]) / space.get("step", default - space["low"] or 1)
        on_grid = math.isclose(steps, round(steps), abs_tol=1e-9)
        require(on_grid, "default", f"{where} is not on the grid of {space['low']} in steps of {space.get('step')}")
        require(kind in (int, float), "default", f"{where} is searched as {kind}")


def check_unknown_setting(declared: type[Declared], *args: Any, **kwargs: Any) -> None:
    """A misspelt setting is refused, with the name that was meant; the rest of the call is given as it should be."""
    for name in declared._fields:
        wrong = f"{name}_"
        try:
            declared(*args, **kwargs, **{wrong: None})
        except SignatureError as error:
            says_so = f"did you mean {name!r}?" in str(error)
            require(says_so and isinstance(error, TypeError), "unknown setting", f"{wrong!r} is refused with {error}")
        except Exception as error:
            raise Broken(f"unknown setting: {wrong!r} is refused with {error!r}") from error
        else:
            raise Broken(f"unknown setting: {declared.__name__} accepts {wrong!r}")


def check_signature(declared: type[Declared], last: Iterable[str] = ()) -> None:
    """The signature names every setting, the common ones at the end, then what can be given by name alone."""
    parameters = inspect.signature(declared).parameters.values()
    by_name = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    in_order = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    expected = sorted(declared._fields, key=lambda name: name in by_name)
    require([*in_order, *by_name] == expected, "signature", f"it is {inspect.signature(declared)}")
    last = list(last)
    ends = in_order or by_name
    require(not last or ends[-len(last) :] == last, "signature", f"it does not end with {', '.join(last)}")


def check_unique_names(base: type[Declared], *, within: str = "pnpxai.") -> None:
    """No two classes of a kind have the same name, and each is found by its name and its aliases."""
    classes = every(base, within=within)
    for cls in classes:
        for name in {cls.__name__, getattr(cls, "name", cls.__name__), *getattr(cls, "aliases", ())}:
            owners = [c for c in classes if name in (c.__name__, getattr(c, "name", ""), *getattr(c, "aliases", ()))]
            require(owners == [cls], "unique names", f"{name!r} is the name of {owners}")
            by_its_name = by_name(base, name, "name") if base.abstract else cls
            require(by_its_name is cls, "unique names", f"{name!r} finds {by_its_name}, not {cls}")


def _neighbours(made: Declared) -> list[Declared]:
    """Return copies with one searched setting changed each."""
    others = []
    for name, (kind, space) in made.get_tunables().items():
        value = getattr(made, name)
        if "choices" not in space:
            other = space["high"] if value != space["high"] else space["low"]
        elif issubclass(kind, Strategy):
            other = next((c for c in space["choices"] if c != value.name), None)
        else:
            other = next((c for c in space["choices"] if c != value), None)
        if other is None:
            continue
        try:
            others.append(made.replace(**{name: other}))
        except ValueError:  # legal alone, but not with the other settings
            continue
    return others
