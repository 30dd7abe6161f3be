"""The private names of torch do what the package takes them to do, and are used nowhere else."""

import ast
import re
from pathlib import Path

import torch
from torch.overrides import TorchFunctionMode

import pnpxai
from pnpxai.engine.seeing.torch_private import count_edits, from_leaves, function_modes_active, to_leaves

PACKAGE = Path(pnpxai.__file__).parent
OTHERS = re.compile(r"(torch|optuna|pydantic|zennit|numpy|pandas|matplotlib|sklearn|typer|captum)(\.|$)")


def test_edits_in_place_are_counted():
    x = torch.zeros(3)
    before = count_edits(x)
    x.clone().add_(1)
    assert count_edits(x) == before
    x[:1] = 2
    assert count_edits(x) > before
    assert count_edits(x.detach()) == count_edits(x)  # a view counts with what it is a view of


def test_an_active_mode_is_noticed():
    assert not function_modes_active()
    with TorchFunctionMode():
        assert function_modes_active()
    assert not function_modes_active()


def test_structures_are_taken_apart_and_put_together():
    x, y = torch.zeros(2), torch.ones(3)
    leaves, form = to_leaves(((x, None), {"mask": y, "n": 3}))
    assert leaves[0] is x
    assert from_leaves([1, *leaves[1:]], form) == ((1, None), {"mask": y, "n": 3})


def _name(node):
    if isinstance(node, ast.Name):
        return node.id
    return f"{_name(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else "?"


def _private(part):
    return part.startswith("_") and not part.startswith("__")


def _private_names(path):
    """Return the names with an underscore that a file imports, or reads of modules and objects of other packages."""
    tree = ast.parse(path.read_text())
    defined = {n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and OTHERS.match(node.module or ""):
            found += [n.name for n in node.names if _private(n.name)] + [
                p for p in node.module.split(".") if _private(p)
            ]
        elif isinstance(node, ast.Import):
            found += [n.name for n in node.names if OTHERS.match(n.name) and any(map(_private, n.name.split(".")))]
        elif isinstance(node, ast.Attribute) and _private(node.attr):
            full = _name(node)
            if re.match(r"(torch|nn|optuna|F|np|pd|Tensor)\.", full) or (
                node.attr in TORCH - defined and not full.startswith("self.")
            ):
                found.append(full)
    return found


TORCH = {"_version", "_backward_hooks", "_trial_id", "_study_id", "_parameters", "_buffers", "_modules", "_storage"}
"""Private attributes of torch's and optuna's objects."""


def test_no_other_file_uses_a_private_name():
    files = [path for path in sorted(PACKAGE.rglob("*.py")) if not path.name.endswith("_private.py")]
    names = {path.relative_to(PACKAGE).as_posix(): _private_names(path) for path in files}
    assert not {file: private for file, private in names.items() if private}
