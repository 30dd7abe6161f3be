"""Every kind of file that is read, changed at random: what is read, or one clear error; nothing runs, nothing hangs."""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from pnpxai import AutoExplanation
from pnpxai.auto.generation.explanation import ResponseExplanation
from pnpxai.auto.picture_files import open_picture
from pnpxai.cli.data import load_data, names_of
from pnpxai.cli.generation import _prompt
from pnpxai.cli.models import _fill
from pnpxai.cli.options import Explain
from pnpxai.cli.options_file import read_options
from pnpxai.errors import ArgumentError
from pnpxai.explainers import SmoothGrad
from pnpxai.explainers.base import Explainer
from pnpxai.explainers.results.explanation import Explanation
from pnpxai.files import read_json
from pnpxai.recommender import Ranking
from pnpxai.tuning import TuningResult
from tests.small import Bright, pictures

__all__ = ["READERS", "Reader", "judged"]

SECONDS = 30
"""How long a file of a few thousand bytes may take at most, on any machine."""


@dataclass(frozen=True)
class Reader:
    """What is read.

    Attributes:
        name: the file, below the folder that ``write`` makes.
        write: writes a sound one.
        read: reads it.
    """

    name: str
    write: Callable[[Path], Any]
    read: Callable[[Path], Any]


def data(path: Path) -> Any:
    return load_data(Explain(data=[str(path)]))


def explanation(path: Path) -> Any:
    return Explanation.load(path.parent)


def settings(path: Path) -> Any:
    return Explainer.from_dict(read_json(path, "path"), Bright())


def options() -> dict[str, Any]:
    return {
        "model": "net.py", "data": "x.npy", "count": 3, "explainers": ["Gradient", {"SmoothGrad": {"n_iter": 3}}],
        "size": [8, 8], "mean": [0.5], "target_labels": True,
    }  # fmt: skip


def picture(**save: Any) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(path, **save)


def frame() -> pd.DataFrame:
    return pd.DataFrame({"age": [1.0, 2.0, 3.0], "name": ["a", "b,c", 'd"'], "sick": [0, 1, 0]})


def _tuned() -> TuningResult:
    auto = AutoExplanation(Bright(), pictures(4), modality="image")
    return auto.tune("SmoothGrad", "AbPC", n_trials=1, n_seeds=0, show_progress=False)


def _ranked() -> Ranking:
    auto = AutoExplanation(Bright(), pictures(4), modality="image")
    return auto.rank(["Gradient"], n_trials=1, show_progress=False)


def _response(path: Path) -> None:
    values = torch.arange(6, dtype=torch.float64).reshape(3, 2)
    fields = ResponseExplanation.__dataclass_fields__
    plain: dict[str, Any] = {name: () for name in fields}
    path.write_text(json.dumps(plain | {"values": values.tolist(), "prompt": "a b c", "response": "d e"}))


READERS = {
    "options.yaml": Reader("o.yaml", lambda path: path.write_text(_yaml()), read_options),
    "options.json": Reader("o.json", lambda path: path.write_text(json.dumps(options())), read_options),
    "array": Reader("x.npy", lambda path: np.save(path, np.arange(24.0).reshape(2, 3, 4)), data),
    "arrays": Reader("x.npz", lambda path: np.savez(path, x=np.ones((3, 2)), y=np.array([0, 1, 0])), data),
    "rows": Reader("x.csv", lambda path: frame().to_csv(path, index=False), data),
    "columns": Reader("x.parquet", lambda path: frame().to_parquet(path), data),
    "texts": Reader("x.txt", lambda path: path.write_text("a text\nanother\n\nüber\n"), data),
    "names": Reader("names.txt", lambda path: path.write_text("cat\ndog\n"), lambda path: names_of(str(path), "names")),
    "png": Reader("p.png", picture(), open_picture),
    "jpeg": Reader("p.jpg", picture(), open_picture),
    "gif": Reader("p.gif", picture(), open_picture),
    "bmp": Reader("p.bmp", picture(), open_picture),
    "tiff": Reader("p.tiff", picture(), open_picture),
    "webp": Reader("p.webp", picture(), open_picture),
    "prompt": Reader(
        "p.json", lambda path: path.write_text('{"template": "a {x}", "values": {"x": "b"}, "absent": {"x": "c"}}'),
        _prompt,
    ),
    "question": Reader(
        "q.json", lambda path: path.write_text('{"question": "a?", "sources": ["b", "c"]}'), _prompt
    ),
    "messages": Reader(
        "m.json", lambda path: path.write_text('[{"role": "user", "content": "a"}]'), _prompt
    ),
    "settings": Reader(
        "s.json", lambda path: path.write_text(json.dumps(SmoothGrad(Bright(), n_iter=3).to_dict())), settings
    ),
    "explanation": Reader(
        "explanation.json", lambda path: SmoothGrad(Bright(), n_iter=2).explain(pictures(2), 1).save(path.parent),
        explanation,
    ),
    "maps": Reader(
        "tensors.safetensors", lambda path: SmoothGrad(Bright(), n_iter=2).explain(pictures(2), 1).save(path.parent),
        explanation,
    ),
    "response": Reader("r.json", _response, ResponseExplanation.load),
    "tuned": Reader("t.json", lambda path: _tuned().save(path), lambda path: TuningResult.load(path, Bright())),
    "ranking": Reader("k.json", lambda path: _ranked().save(path), lambda path: Ranking.load(path, Bright())),
    "weights": Reader("w.pt", lambda path: torch.save(Bright().state_dict(), path), lambda path: _fill(Bright(), path)),
}  # fmt: skip


def _yaml() -> str:
    import yaml

    return yaml.safe_dump(options())


@contextmanager
def _no_longer_than(seconds: int) -> Iterator[None]:
    def late(*_: Any) -> None:
        raise TimeoutError(f"not read within {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1e308, 10**30, float("nan"), "", "x" * 300, "\x00", "../../etc/passwd", [], {}, [[]],
    {"type": "os:system"}, {"callable": "os:system"}, {"tensor": [[1], [2, 3]], "dtype": "float32"},
    {"layer": "no"}, ["a", 1], "2020-01-01",
)  # fmt: skip


def changed(content: bytes, name: str, draw: random.Random) -> bytes:
    """Return a file with something changed: bits, pieces, its end, or a value of its JSON."""
    ways = ["bits", "cut", "piece", "noise", "twice"] + ["value"] * 6 * name.endswith(".json")
    way, at = draw.choice(ways), draw.randrange(len(content))
    if way == "value":
        return _other_value(content, draw)
    if way == "cut":
        return content[:at]
    if way == "piece":
        return content[:at] + content[at + draw.randrange(1, 40) :]
    if way == "noise":
        return content[:at] + draw.randbytes(draw.randrange(1, 20)) + content[at:]
    if way == "twice":
        return content[:at] + content[max(0, at - 50) :]
    bits = bytearray(content)
    for _ in range(draw.randrange(1, 9)):
        bits[draw.randrange(len(bits))] ^= 1 << draw.randrange(8)
    return bytes(bits)


def _other_value(content: bytes, draw: random.Random) -> bytes:
    """Return JSON without its checksums, with a value exchanged, gone, or more."""
    value = json.loads(content)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            if key in ("checksum", "digest_of_tensors"):
                del node[key]
                continue
            places.append((node, key))
            walk(node[key])

    walk(value)
    holder, key = draw.choice(places)
    if draw.random() < 0.25:
        del holder[key]
    elif isinstance(holder, dict) and draw.random() < 0.1:
        holder[draw.choice(["type", "callable", "unknown", "__class__"])] = draw.choice(ODD)
    else:
        holder[key] = draw.choice(ODD)
    return json.dumps(value).encode()


def judged(kind: str, folder: Path, sound: bytes, seed: int) -> str:
    """Change a file and read it; return "read" or "refused", or else what went wrong."""
    reader, draw = READERS[kind], random.Random(f"{kind} {seed}")  # noqa: S311
    path = folder / reader.name
    path.write_bytes(changed(sound, reader.name, draw))
    try:
        with _no_longer_than(SECONDS):
            reader.read(path)
    except ArgumentError as refusal:
        return "refused" if len(str(refusal)) > 20 else f"says nothing: {refusal}"
    except Exception as problem:  # noqa: BLE001  (which is what is looked for)
        return f"{type(problem).__name__}: {problem}"[:300]
    finally:
        path.write_bytes(sound)
    return "read"


def sound(kind: str, folder: Path) -> bytes:
    """Write a sound file, read it, and return its bytes."""
    reader = READERS[kind]
    reader.write(folder / reader.name)
    reader.read(folder / reader.name)
    return (folder / reader.name).read_bytes()


def main() -> int:
    """Run ``--cases`` changed files of every kind and print what is neither read nor refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100, help="of each kind of file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("kinds", nargs="*", default=list(READERS))
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    counts: Counter[str] = Counter()
    for kind in asked.kinds:
        with tempfile.TemporaryDirectory() as folder:
            content = sound(kind, Path(folder))
            for k in range(asked.seed * 10**6, asked.seed * 10**6 + asked.cases):
                outcome = judged(kind, Path(folder), content, k)
                counts[outcome if outcome in ("read", "refused") else "wrong"] += 1
                if outcome not in ("read", "refused"):
                    print(f"{kind} {k}: {outcome}", flush=True)  # noqa: T201
    print(dict(counts))  # noqa: T201
    return int(counts["wrong"] > 0)


if __name__ == "__main__":
    sys.exit(main())
