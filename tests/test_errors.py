"""Errors say what was meant, and are caught by what callers of captum and of Python catch."""

from __future__ import annotations

import pytest

from pnpxai import errors
from pnpxai.errors import did_you_mean


@pytest.mark.parametrize(
    ("kind", "caught_as"),
    [
        (errors.ArgumentError, (ValueError, AssertionError)),
        (errors.SignatureError, (errors.ArgumentError, TypeError)),
        (errors.ShapeError, (errors.ArgumentError,)),
        (errors.NonFiniteError, (errors.ArgumentError,)),
        (errors.RuleError, (errors.ArgumentError,)),
        (errors.UnsuitableError, (errors.ArgumentError,)),
        (errors.ConfinedError, (RuntimeError,)),
        (errors.OutOfMemoryError, (RuntimeError,)),
        (errors.MissingExtraError, (ImportError,)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_errors_are_caught_as(kind, caught_as):
    assert all(issubclass(kind, other) for other in caught_as)


def test_every_error_is_exported():
    assert {name for name in vars(errors) if name.endswith("Error")} <= set(errors.__all__)


def test_near_word_is_suggested():
    assert did_you_mean("conv_2", ["conv1", "conv2", "head"]) == "; did you mean 'conv2'?"


def test_far_word_lists_what_there_is():
    assert did_you_mean("zzz", ["conv", "head"]) == "; there are: 'conv', 'head'"


def test_long_lists_are_cut():
    assert did_you_mean("zzz", [f"layer{k}" for k in range(20)]).endswith("'layer11' and 8 more")


def test_nothing_known_says_nothing():
    assert did_you_mean("zzz", ["", ""]) == ""
