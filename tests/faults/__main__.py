"""``python -m tests.faults``: plants every fault and shows which tests fail under it; exits with 1 if one survives."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys

import pytest

from tests.faults.planted import FAULTS
from tests.faults.planting import Fault, planted


class Failed:
    """Notes which tests failed."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.count = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failed test."""
        self.count += report.when == "call"
        if report.failed:
            self.names.append(report.nodeid)


def failing(nodes: tuple[str, ...]) -> Failed:
    """Run tests in this process, and return what failed."""
    failed = Failed()
    options = ["-q", "-p", "no:cacheprovider", "-m", "not fuzz", "--tb=no", "--no-header"]
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main([*options, *nodes], plugins=[failed])
    return failed


def survivors(fault: Fault) -> list[str]:
    """Return those of a fault's tests that do not fail under it."""
    with planted(fault):
        failed = failing(fault.caught_by)
    return [node for node in fault.caught_by if not any(name.startswith(node) for name in failed.names)]


def main() -> int:
    """Plant the faults that were asked for, and print what came of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sound", action="store_true", help="first run all of the tests on the sound package")
    parser.add_argument("words", nargs="*", help="only faults whose description or place holds one of these")
    asked = parser.parse_args()
    chosen = [f for f in FAULTS if not asked.words or any(w in f.what or w in f.where for w in asked.words)]
    if asked.sound and (failed := failing(tuple(dict.fromkeys(n for f in chosen for n in f.caught_by)))).names:
        print(f"on the sound package fail {failed.names}")  # noqa: T201
        return 1
    missed = 0
    for fault in chosen:
        try:
            left = survivors(fault)
            text = "caught by " + ", ".join(fault.caught_by) if not left else f"NOT CAUGHT by {', '.join(left)}"
        except LookupError as error:
            left, text = ["planting"], f"NOT PLANTED: {error}"
        missed += bool(left)
        print(f"{fault.floor}: {fault.what}: {text}", flush=True)  # noqa: T201
    print(f"{len(chosen)} faults on {len({f.floor for f in chosen})} floors, {missed} missed")  # noqa: T201
    return 1 if missed else 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
