"""Where trials are kept: in memory, a SQLite file, a journal file, or a database server by URL."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import optuna
from filelock import FileLock
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from pnpxai.errors import ArgumentError, MissingExtraError
from pnpxai.tuning.storage.optuna_private import BaseJournalFileLock

__all__ = ["StorageSpec", "TrialStorage", "opened"]

StorageSpec: TypeAlias = str | Path | BaseStorage | None
"""None for memory; a folder (a SQLite file in it) or a ``.db`` file; a ``.log`` or ``.journal`` file; the URL of a
database (``postgresql://user@host/name``); or an Optuna storage."""

_JOURNALS = (".log", ".journal", ".jsonl")
_FILES = (".db", ".sqlite", ".sqlite3")
_LOCK_NUMBER = 5_077_721


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
    exclusive: Callable[[], AbstractContextManager[Any]]
    common: bool = True

    def close(self) -> None:
        """Close idle connections; a later use of the storage opens new ones."""
        if isinstance(self.backend, RDBStorage) and self.common:
            self.backend.remove_session()
            self.backend.engine.dispose()


def opened(spec: StorageSpec) -> TrialStorage:
    """Open a storage, making it where it does not exist.

    Raises:
        ArgumentError: it cannot be reached, or is none.
        MissingExtraError: its driver is not installed.
    """
    if spec is None:
        return TrialStorage(optuna.storages.InMemoryStorage(), "memory", threading.RLock, common=False)
    if isinstance(spec, BaseStorage):
        return TrialStorage(spec, type(spec).__name__, threading.RLock, common=False)
    if not isinstance(spec, (str, Path)):
        raise ArgumentError(f"storage: expected a folder, a file, a URL or an Optuna storage, got {spec!r}")
    if "://" in str(spec):
        url = str(spec)
        if url.startswith("sqlite:///"):
            return _sqlite(Path(url.removeprefix("sqlite:///")))
        return _server(url)
    path = Path(spec)
    try:
        if path.suffix in _JOURNALS:
            path.parent.mkdir(parents=True, exist_ok=True)
            return _journal(path)
        file = path if path.suffix in _FILES else path / "tuning.db"
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise ArgumentError(f"storage: {path} cannot be used: {problem}") from problem
    return _sqlite(file)


def _sqlite(file: Path) -> TrialStorage:
    from sqlalchemy import event

    lock = FileLock(f"{file}.lock")
    with lock, _reached(str(file)):
        storage = RDBStorage(f"sqlite:///{file}", engine_kwargs={"connect_args": {"timeout": 60}})

        # by default a transaction that reads and then writes lets two workers read the same
        @event.listens_for(storage.engine, "connect")
        def _plain(connection: Any, _: Any) -> None:
            connection.isolation_level = None

        @event.listens_for(storage.engine, "begin")
        def _immediate(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        storage.engine.dispose()  # connections made before
    return TrialStorage(storage, str(file), lambda: lock)


def _journal(path: Path) -> TrialStorage:
    lock = FileLock(f"{path}.planning.lock")
    with lock, _reached(str(path)):
        storage = JournalStorage(JournalFileBackend(str(path), lock_obj=_JournalLock(path)))
    return TrialStorage(storage, str(path), lambda: lock)


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
    except ModuleNotFoundError as missing:
        raise MissingExtraError(
            f"storage: the driver {missing.name} is not installed: pip install 'pnpxai[postgres]' (for PostgreSQL)"
        ) from missing
    except ImportError as missing:
        raise MissingExtraError(f"storage: a driver is missing: {missing}") from missing
    except (SQLAlchemyError, OSError, ValueError, RuntimeError) as problem:
        reason = str(problem).strip().splitlines()[0]
        raise ArgumentError(f"storage: {_without_password(place)} cannot be opened: {reason}") from problem


def _without_password(place: str) -> str:
    if "://" not in place:
        return place
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError as NoURL

    try:
        return make_url(place).render_as_string(hide_password=True)
    except NoURL:
        return place.split("://")[0] + "://..."
