"""Several checks in one test: all are run, and those that fail are named together."""

from __future__ import annotations

from collections.abc import Callable

import pytest

__all__ = ["Failures"]


class Failures:
    """Runs checks one after the other and raises at the end what went wrong, under the names of the checks.

    Args:
        subject: what is checked, such as "SmoothGrad on skip_cnn".
    """

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.errors: list[Exception] = []
        self.names: list[str] = []
        self.count = 0

    def run(self, check: Callable[..., object], *arguments: object) -> None:
        """Run a check, and note its exception."""
        self.count += 1
        try:
            check(*arguments)
        except (Exception, pytest.fail.Exception) as error:
            name = getattr(getattr(check, "func", check), "__name__", repr(check))
            error.add_note(f"in {name}")
            self.names.append(f"{name}: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
            self.errors.append(error if isinstance(error, Exception) else AssertionError(str(error)))

    def end(self) -> None:
        """Raise, if a check failed, all of their exceptions."""
        if self.errors:
            message = f"{self.subject}: {len(self.errors)} of {self.count} checks fail"
            raise ExceptionGroup("\n".join([message, *self.names]), self.errors)
