"""The run folder's store: what was computed, a file a chunk, each complete or absent, so that a killed run goes on."""

from __future__ import annotations

import contextlib
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pnpxai.errors import ArgumentError
from pnpxai.experiment.storage.maps import Maps
from pnpxai.experiment.storage.named_by_digest import check_digest, damaged, write_with_digest
from pnpxai.experiment.storage.records import EXPLAINED, ChunkResult
from pnpxai.files import write_file

__all__ = ["Store", "writing"]

_WORD = pa.dictionary(pa.int32(), pa.string())
_SCHEMA = pa.schema([
    ("example", pa.string()), ("explainer", _WORD), ("metric", _WORD), ("value", pa.float64()), ("reason", _WORD),
    ("seconds", pa.float64()), ("rows", pa.int64()), ("target", pa.int64()), ("retry", pa.bool_()),
    ("curves", pa.string()),
])  # fmt: skip


class Store:
    """Cells by example, explainer and metric (each known by a key), and kept maps.

    Args:
        folder: where to keep them; None for memory.
        limit: how many bytes of maps to keep of examples whose maps are not shown; None for all.

    Raises:
        ArgumentError: another run is writing there, or a file is damaged.
    """

    def __init__(self, folder: Path | None, limit: int | None = 0) -> None:
        self.folder = folder
        self._tables: list[pa.Table] = []
        self._known: dict[str, dict[str, frozenset[str]]] = {}
        self._refused: set[tuple[str, str]] = set()
        self._sets: dict[frozenset[str], frozenset[str]] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for path in sorted(folder.glob("*.parquet")):
                self._note(_read(path))
        self.maps = Maps(folder, limit, lambda explainer, example: EXPLAINED in self.known(explainer, example))

    def __len__(self) -> int:
        return sum(len(of) for of in self._known.values())

    def opened_by(self, version: str) -> tuple[str, ...]:
        """Note that a version of this package writes here; return those that did before it came."""
        if self.folder is None:
            return ()
        path = self.folder / "versions"
        before = path.read_text(encoding="utf-8", errors="replace").split() if path.exists() else []
        if version in before:
            return ()
        write_file(path, lambda to: to.write_text("\n".join([*before, version]), encoding="utf-8"))
        return tuple(before)

    def known(self, explainer: str, example: str) -> frozenset[str]:
        """Return the metrics (``EXPLAINED`` among them) that an example's explanation has cells for."""
        return self._known.get(explainer, {}).get(example, frozenset())

    def has_map(self, explainer: str, example: str) -> bool:
        """Tell whether there is a map, or it is known that there is none."""
        return self.maps.has(explainer, example) or (explainer, example) in self._refused

    def add(self, result: ChunkResult) -> None:
        """Keep the result of a chunk: the maps first, since the records say that the chunk is done."""
        columns = list(zip(*result.records, strict=True)) or [()] * len(_SCHEMA)
        table = pa.table(
            [pa.array(c, f.type) if not pa.types.is_dictionary(f.type) else pa.array(c, pa.string()).dictionary_encode()
             for c, f in zip(columns, _SCHEMA, strict=True)],
            schema=_SCHEMA,
        )  # fmt: skip
        name = uuid.uuid4().hex[:16]
        self.maps.add(name, result.maps)
        if self.folder is None:
            self._tables.append(table)
        else:
            write_with_digest(self.folder, name, ".parquet", lambda to: pq.write_table(table, to))
        self._note(table)

    def cells(self) -> pd.DataFrame:
        """Return all cells; of those that were computed again, the better."""
        tables = self._tables if self.folder is None else [_read(p) for p in sorted(self.folder.glob("*.parquet"))]
        frame = pa.concat_tables([_SCHEMA.empty_table(), *tables]).unify_dictionaries().to_pandas()
        frame = frame.sort_values("retry", ascending=False, kind="stable")
        return frame.drop_duplicates(["example", "explainer", "metric"], keep="last")

    def compact(self) -> None:
        """Put many files into one; a crash meanwhile leaves doubles at worst."""
        if self.folder is None:
            return
        parts = sorted(self.folder.glob("*.parquet"))
        if len(parts) > 1:
            whole = pa.concat_tables(map(_read, parts)).unify_dictionaries()
            write_with_digest(self.folder, uuid.uuid4().hex[:16], ".parquet", lambda to: pq.write_table(whole, to))
            for path in parts:
                path.unlink()
        for partial in self.folder.glob(".*.part"):
            partial.unlink(missing_ok=True)

    def _note(self, table: pa.Table) -> None:
        names = ("example", "explainer", "metric", "reason", "retry")
        columns = [table.column(name).to_pylist() for name in names]
        for example, explainer, metric, reason, retry in zip(*columns, strict=True):
            if retry:
                continue
            of = self._known.setdefault(explainer, {})
            known = of.get(example, frozenset()) | {metric}
            of[sys.intern(example)] = self._sets.setdefault(known, known)  # few different sets, many examples
            if metric == EXPLAINED and reason is not None:
                self._refused.add((explainer, example))


@contextlib.contextmanager
def writing(folder: Path | None) -> Iterator[None]:
    """Keep a folder to one run at a time; the lock goes with the process.

    Raises:
        ArgumentError: another run is writing there.
    """
    try:
        import fcntl
    except ImportError:  # not on this system
        fcntl = None
    if folder is None or fcntl is None:
        yield
        return
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"folder: {folder} is a file; give a folder, or another name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
    except OSError as problem:
        raise ArgumentError(f"folder: {folder} cannot be written to: {problem.strerror or problem}") from problem
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ArgumentError(f"folder: another run is writing to {folder}; wait for it, or choose another") from None
        for partial in folder.glob(".*.part"):  # of a killed run
            partial.unlink(missing_ok=True)
        yield
    finally:
        os.close(handle)


def _read(path: Path) -> Any:
    check_digest(path)
    try:
        with pq.ParquetFile(path) as file:  # in one thread, as each keeps memory of its own
            return file.read(use_threads=False).cast(_SCHEMA)
    except (pa.ArrowException, OSError, ValueError) as problem:
        raise damaged(path, problem) from problem
