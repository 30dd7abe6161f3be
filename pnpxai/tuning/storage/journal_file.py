"""The journal file of a study: every line has a checksum, and what a killed process wrote of a line is cut off."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock
from optuna.storages.journal import JournalFileBackend

from pnpxai.tuning.storage.optuna_private import BaseJournalFileLock

__all__ = ["CheckedJournal", "DamagedJournalError"]

_CHECKSUM = "checksum"


class DamagedJournalError(ValueError):
    """A line of a journal is not as it was written."""


class CheckedJournal(JournalFileBackend):
    """A journal of Optuna with one more entry in every line: the checksum of the others.

    Optuna's own tools read it too. Lines without a checksum, as Optuna writes them, are taken as they are.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(str(path), lock_obj=_JournalLock(path))

    def append_logs(self, logs: list[dict[str, object]]) -> None:
        """Write entries, each with its checksum."""
        super().append_logs([log | {_CHECKSUM: _checksum(log)} for log in logs])

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, object]]:  # type: ignore[override]
        """Yield the entries from a number on.

        Raises:
            DamagedJournalError: an entry is not as it was written.
        """
        try:
            for log in super().read_logs(log_number_from):
                if log.get(_CHECKSUM, (own := _checksum(log))) != own:
                    raise DamagedJournalError(f"{self._path} is damaged: an entry does not have its checksum")
                yield log
        except (ValueError, AttributeError) as problem:
            if isinstance(problem, DamagedJournalError):
                raise
            raise DamagedJournalError(f"{self._path} is damaged, or no journal ({problem})") from problem


def _checksum(log: dict[str, object]) -> int:
    others = {name: value for name, value in log.items() if name != _CHECKSUM}
    return zlib.crc32(json.dumps(others, sort_keys=True).encode())


class _JournalLock(BaseJournalFileLock):
    """A lock that ends with its process, and that cuts off what a killed process wrote of a line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = FileLock(f"{path}.lock")

    def acquire(self) -> bool:
        self._lock.acquire()
        if self._path.exists():
            _cut_torn_line(self._path)
        return True

    def release(self) -> None:
        self._lock.release()


def _cut_torn_line(path: Path) -> None:
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        if end == 0:
            return
        file.seek(end - 1)
        if file.read(1) == b"\n":
            return
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
