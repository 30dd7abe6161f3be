"""``Results`` as files: the table as parquet, the maps as safetensors, everything else as JSON with their digests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from torch import Tensor

from pnpxai.errors import ArgumentError
from pnpxai.experiment.results import Curves, InputMaps, Results, decided
from pnpxai.files import ReadJson, file_digest, read_json, write_file, write_json
from pnpxai.statistics import DecisionRule

__all__ = ["read_results", "write_results"]

_TABLE, _MAPS, _RECORD = "values.parquet", "maps.safetensors", "run.json"
_COLUMNS = ("example", "key", "target", "label", "explainer", "metric", "value", "reason")


def write_results(results: Results, folder: Path) -> Path:
    """Write results, each file complete or not at all; see ``Results.save``."""
    from safetensors.torch import save

    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"folder: {folder} is a file; give a folder")
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for k, of_input in enumerate(results.of_inputs):
        tensors |= {f"{k}/map/{label}": values.contiguous() for label, values in of_input.maps.items()}
        tensors[f"{k}/input"] = of_input.inputs.contiguous()
    write_file(folder / _TABLE, results.table.to_parquet)
    write_file(folder / _MAPS, lambda path: path.write_bytes(save(tensors)))
    record = {
        "facts": results.facts, "settings": results.settings, "rejected": results.rejected,
        "tuned": list(results.tuned), "directions": results.directions,
        "seconds": results.seconds.to_dict(orient="index"), "curves": results.curves, "kept": list(results.kept),
        "files": {name: file_digest(folder / name) for name in (_TABLE, _MAPS)},
    }  # fmt: skip
    write_json(folder / _RECORD, record)
    return folder


def read_results(folder: Path, rule: DecisionRule | None) -> Results:
    """Read results; see ``Results.load``.

    Raises:
        ArgumentError: the folder holds no complete run, or a damaged one.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not (folder / _RECORD).is_file():
        raise ArgumentError(f"folder: {folder} holds no {_RECORD}, so no complete run")
    record = read_json(folder / _RECORD, "folder")
    try:
        for name, digest in record.get("files", {}).items():
            if Path(name).name != name:
                raise ArgumentError(f"folder: {folder / _RECORD} names a file outside of the run: {name!r}")
            if file_digest(folder / name) != digest:
                raise ArgumentError(
                    f"folder: {folder} holds a damaged run: {name} is not as it was written; the same comparison into "
                    "this folder writes it anew"
                )
        tensors = load_file(folder / _MAPS)
        table = pd.read_parquet(folder / _TABLE)
    except ArgumentError:
        raise
    except (OSError, ValueError, AttributeError, TypeError, SafetensorError) as problem:
        raise ArgumentError(f"folder: {folder} holds a damaged run ({problem})") from problem
    missing = [name for name in _COLUMNS if name not in table]
    if missing:
        raise ArgumentError(f"folder: {folder} holds another {_TABLE} than save writes: no column {missing[0]!r}")
    try:
        return _results(record, table, _of_inputs(tensors), rule)
    except ArgumentError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as problem:
        raise ArgumentError(
            f"folder: {folder} holds another {_RECORD} than save writes ({type(problem).__name__}: {problem})"
        ) from problem


def _results(
    record: Mapping[str, ReadJson], table: pd.DataFrame, of_inputs: list[InputMaps], rule: DecisionRule | None
) -> Results:
    first, *further = of_inputs
    settings, directions = record["settings"], record["directions"]
    controls = [label for label, of_label in settings.items() if of_label["control"]]
    saved_rule = record["facts"].get("rule")
    rule = rule or (DecisionRule.from_dict(saved_rule) if saved_rule else None)
    return Results(
        table=table,
        seconds=pd.DataFrame.from_dict(record["seconds"], orient="index").astype(float),
        decision=decided(table, directions, controls, rule),
        directions=directions,
        settings=settings,
        maps=first.maps,
        inputs=first.inputs,
        facts=dict(record["facts"]),
        rejected=dict(record["rejected"]),
        tuned=tuple(of | {"value": _number(of["value"])} for of in record["tuned"]),
        curves=_curves(record["curves"]),
        kept=tuple(record["kept"]),
        further=tuple(further),
    )


def _curves(curves: Curves) -> Curves:
    return {
        metric: {label: {n: list(map(_number, c)) for n, c in of.items()} for label, of in of_metric.items()}
        for metric, of_metric in curves.items()
    }


def _number(value: float | None) -> float:
    """Return a number that was written to JSON, where NaN is null."""
    return float("nan") if value is None else value


def _of_inputs(tensors: dict[str, Tensor]) -> list[InputMaps]:
    """Return the values and maps of every input."""
    count = sum(name.endswith("/input") and name[:-6].isdigit() for name in tensors)
    return [
        InputMaps(
            tensors[f"{k}/input"],
            {n.removeprefix(f"{k}/map/"): m for n, m in tensors.items() if n.startswith(f"{k}/map/")},
        )
        for k in range(count)
    ]
