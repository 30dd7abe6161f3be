"""Where trials are kept: in memory, a SQLite file, a journal file, or a database server by URL."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

import optuna
from filelock import FileLock
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage

from pnpxai.errors import ArgumentError, MissingExtraError
from pnpxai.tuning.storage.journal_file import CheckedJournal, DamagedJournalError

__all__ = ["StorageSpec", "TrialStorage", "opened"]

StorageSpec: TypeAlias = str | Path | BaseStorage | None
"""None for memory; a folder (a SQLite file in it) or a ``.db`` file; a ``.log`` or ``.journal`` file; the URL of a
database (``postgresql://user@host/name``); or an Optuna storage."""

_JOURNALS = (".log", ".journal", ".jsonl")
_FILES = (".db", ".sqlite", ".sqlite3")
_LOCK_NUMBER = 5_077_721
_URL = re.compile(r"[A-Za-z][\w+.-]+://")


@dataclass(frozen=True)
class TrialStorage:
    """An open storage of trials.

    Attributes:
        backend: the storage of Optuna.
        place: where it is, for messages.
        exclusive: a context in which no other process plans, claims or gives back trials.
        common: whether other processes can open it.
    """

    backend: BaseStorage
    place: str
    exclusive: Callable[[], AbstractContextManager[object]]
    common: bool = True

    def close(self) -> None:
        """Close idle connections; a later use of the storage opens new ones."""
        if isinstance(self.backend, RDBStorage) and self.common:
            self.backend.remove_session()
            self.backend.engine.dispose()

    @contextlib.contextmanager
    def errors_named(self, *, reading: bool = False) -> Iterator[None]:
        """Turn errors of the storage inside a ``with`` block into ours, which say what to do.

        Args:
            reading: True if the block does nothing but read, so that every error is the storage's.

        Raises:
            ArgumentError: the storage is damaged, or cannot be written any more.
        """
        from sqlalchemy.exc import SQLAlchemyError

        errors: tuple[type[Exception], ...] = SQLAlchemyError, StorageInternalError, DamagedJournalError
        if reading:  # damaged entries are no JSON, no time, no state, or lack what belongs to them
            errors += (ValueError, LookupError, TypeError, AttributeError, AssertionError)
        try:
            yield
        except errors as problem:
            if not self.common:
                raise
            raise ArgumentError(
                f"storage: {_without_password(self.place)} cannot be read or written: {_reason(problem)}; the same "
                "call goes on once the cause is mended; if the file is damaged, move it away or give another storage"
            ) from problem


def opened(spec: StorageSpec) -> TrialStorage:
    """Open a storage, making it where it does not exist.

    Raises:
        ArgumentError: it cannot be reached, is damaged, or is none.
        MissingExtraError: its driver is not installed.
    """
    if spec is None:
        return TrialStorage(optuna.storages.InMemoryStorage(), "memory", threading.RLock, common=False)
    if isinstance(spec, BaseStorage):
        return TrialStorage(spec, type(spec).__name__, threading.RLock, common=False)
    if not isinstance(spec, (str, Path)) or not str(spec):
        raise ArgumentError(f"storage: expected a folder, a file, a URL or an Optuna storage, got {spec!r}")
    if isinstance(spec, str) and _URL.match(spec):
        return _sqlite(Path(spec[10:])) if spec.startswith("sqlite:///") else _server(spec)
    path = Path(spec)
    journal = path.suffix.lower() in _JOURNALS
    file = path if journal or path.suffix.lower() in _FILES else path / "tuning.db"
    try:
        if file.parent.exists() and not file.parent.is_dir():
            raise ArgumentError(
                f"storage: {file.parent} is a file, no folder; files of trials end in {', '.join(_FILES + _JOURNALS)}"
            )
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_dir():
            raise ArgumentError(f"storage: expected a file, but {file} is a folder")
    except OSError as problem:
        raise ArgumentError(f"storage: {path} cannot be used: {problem.strerror or problem}") from problem
    return _journal(file) if journal else _sqlite(file)


def _sqlite(file: Path) -> TrialStorage:
    from sqlalchemy import event
    from sqlalchemy.pool import QueuePool

    lock = FileLock(f"{file}.lock")
    with _reached(str(file)), lock:
        _check_sqlite(file)
        # the path goes past the URL, in which ?, #, % and {} mean something
        connect = partial(sqlite3.connect, file.absolute(), timeout=60, check_same_thread=False)
        storage = RDBStorage("sqlite://", engine_kwargs={"creator": connect, "poolclass": QueuePool})

        # by default a transaction that reads and then writes lets two workers read the same
        @event.listens_for(storage.engine, "connect")
        def _plain(connection: sqlite3.Connection, _: object) -> None:
            connection.isolation_level = None

        @event.listens_for(storage.engine, "begin")
        def _immediate(connection: object) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # type: ignore[attr-defined]

        storage.engine.dispose()  # connections from before the events
    return TrialStorage(storage, str(file), lambda: lock)


def _check_sqlite(file: Path) -> None:
    """Let SQLite check a file that is there.

    Raises:
        ArgumentError: the file is damaged.
    """
    if not file.exists() or not file.stat().st_size:
        return
    # for writing too: what a killed process left half written is rolled back
    with contextlib.closing(
        sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=rw", uri=True, timeout=60)
    ) as connection:
        try:
            problems = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
        except (sqlite3.DatabaseError, UnicodeDecodeError) as problem:
            problems = [str(problem)]
    if problems != ["ok"]:
        raise ArgumentError(
            f"storage: {file} cannot be opened: it is damaged, or no SQLite file ({problems[0]}); move it away"
        )


def _journal(file: Path) -> TrialStorage:
    lock = FileLock(f"{file}.planning.lock")
    with _reached(str(file)), lock:
        storage = JournalStorage(CheckedJournal(file))
    return TrialStorage(storage, str(file), lambda: lock)


def _server(url: str) -> TrialStorage:
    import sqlalchemy

    for plain in ("postgresql://", "postgres://"):
        if url.startswith(plain):
            url = "postgresql+psycopg://" + url.removeprefix(plain)
    with _reached(url):
        address = sqlalchemy.make_url(url)
        postgres = address.get_backend_name() == "postgresql"
        options = {"connect_args": {"connect_timeout": 10}} if postgres else {}
        locking = sqlalchemy.create_engine(address, poolclass=sqlalchemy.pool.NullPool, **options)

        @contextlib.contextmanager
        def exclusive() -> Iterator[None]:
            with locking.connect() as connection:  # the lock goes with the connection, also of a killed process
                if postgres:
                    connection.execute(sqlalchemy.text(f"SELECT pg_advisory_lock({_LOCK_NUMBER})"))
                yield

        with exclusive():
            storage = RDBStorage(url, engine_kwargs={"pool_pre_ping": True, **options})
    return TrialStorage(storage, url, exclusive)


@contextlib.contextmanager
def _reached(place: str) -> Iterator[None]:
    """Turn the errors of drivers and files into ours, which name the storage."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except ArgumentError:
        raise
    except ModuleNotFoundError as missing:
        raise MissingExtraError(
            f"storage: the driver {missing.name} is not installed: pip install 'pnpxai[postgres]' (for PostgreSQL)"
        ) from missing
    except ImportError as missing:
        raise MissingExtraError(f"storage: a driver is missing: {missing}") from missing
    except (SQLAlchemyError, sqlite3.Error, OSError, ValueError, LookupError, TypeError, RuntimeError) as problem:
        raise ArgumentError(f"storage: {_without_password(place)} cannot be opened: {_reason(problem)}") from problem


def _reason(problem: Exception) -> str:
    """Return what is wrong in one line; the cause says more than what Optuna makes of it."""
    cause = problem.__cause__ if isinstance(problem, StorageInternalError) else None
    lines = str(cause or problem).strip().splitlines()
    return lines[0] if lines else type(problem).__name__


def _without_password(place: str) -> str:
    if "://" not in place:
        return place
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError as NoURL

    try:
        return make_url(place).render_as_string(hide_password=True)
    except NoURL:
        return place.split("://")[0] + "://..."
