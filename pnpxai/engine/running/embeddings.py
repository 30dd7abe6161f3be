"""Finds the embeddings that read a model's token ids. Gradients can be taken there, and not at ids."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pnpxai.engine.running.arguments import Arguments
from pnpxai.engine.running.guard import eager, module_of
from pnpxai.engine.running.places import Argument, Place, Site, argument_names
from pnpxai.errors import ArgumentError
from pnpxai.model_types import Model
from pnpxai.tensors import Tensors, batch_size, flat, map_tensors, own, take_rows

__all__ = ["ColumnSite", "at_embeddings", "by_argument", "columns_among", "owners_of", "run_first"]

_Reads = list[tuple[Site, Tensors]]  # what embeddings were handed


@dataclass(frozen=True)
class ColumnSite(Site):
    """Is the place of the embedding of one column of an argument; every other column has its own embedding.

    Attributes:
        argument: which of the explained arguments.
    """

    argument: int = 0


def at_embeddings(model: Model, arguments: Arguments) -> tuple[tuple[Place, ...], Arguments]:
    """Return the places to differentiate at instead of ids, and the arguments that these places stand for.

    For numbers that is the argument itself, for ids the output of the embedding that is handed them: their memory, or
    if no embedding is, a copy of them. Where each column of ids has an embedding of its own, these are as many places
    (``ColumnSite``). Integers that no embedding reads, such as a mask, are no longer explained. One example is run.

    Raises:
        ArgumentError: several embeddings read the same ids, or nothing is left to be explained.
    """
    inside = module_of(model)
    sites = [
        Site(module, "output", name)
        for name, module in (() if inside is None else inside.named_modules())
        if isinstance(module, (nn.Embedding, nn.EmbeddingBag))
    ]
    if not sites and not any(x.is_floating_point() for x in arguments.explained):
        raise _nothing(arguments)
    rows, size = torch.tensor([0]), batch_size(arguments.explained)
    parts = (arguments.explained, arguments.extra, arguments.keywords)
    explained, extra, keywords = map_tensors(own, take_rows(parts, rows, size))
    reads = _reads(model, sites, Arguments(explained, extra, arguments.names, keywords))
    ids = [k for k, x in enumerate(explained) if not x.is_floating_point()]
    readers = {k: _readers(reads, explained[k], _same_memory) for k in ids}
    taken = {site for sites in readers.values() for site in sites}
    for alike in (_equal, _moved_to_ranges):
        readers |= {k: _readers(reads, explained[k], alike, taken) for k in ids if not readers[k]}
    columns = {k: _columns(reads, sites, explained[k]) for k, sites in readers.items()}
    for k, sites in readers.items():
        if not columns[k]:
            _refuse_several(sites, reads)
    explained_numbers = [k for k in range(len(explained)) if readers.get(k, True)]
    if not explained_numbers:
        raise _nothing(arguments)
    names = arguments.names or argument_names(model)
    places: list[Place] = []
    for position, k in enumerate(explained_numbers):
        if columns.get(k):
            places += [ColumnSite(site.module, site.side, site.name, position) for site in columns[k]]
        else:
            places.append(readers[k][0] if k in readers else Argument(_name(names, k)))
    return tuple(places), arguments if len(explained_numbers) == len(explained) else _keeping(
        arguments, explained_numbers, names
    )


def columns_among(places: Sequence[Place]) -> set[int]:
    """Return the explained arguments that are columns of codes, each of which has an embedding."""
    return {place.argument for place in places if isinstance(place, ColumnSite)}


def owners_of(places: Sequence[Place]) -> tuple[int, ...] | None:
    """Return the explained argument for which each place stands; None unless several places stand for one argument."""
    if not columns_among(places):
        return None
    owners: list[int] = []
    for place in places:
        owners.append(place.argument if isinstance(place, ColumnSite) else owners[-1] + 1 if owners else 0)
    return tuple(owners)


def by_argument(attributions: Tensors, owners: Sequence[int]) -> Tensors:
    """Return the attributions of arguments, from those at places: one number, a sum, for each column with a place.

    Args:
        attributions: one for each place, the examples first.
        owners: which argument each place stands for (``owners_of``).
    """
    groups = [[a for a, one in zip(attributions, owners, strict=True) if one == k] for k in dict.fromkeys(owners)]
    return tuple(
        torch.stack([member.flatten(1).sum(1) for member in group], 1) if len(group) > 1 else group[0]
        for group in groups
    )


def run_first(places: Sequence[Place], arguments: Arguments) -> bool:
    """Return whether hardly anything runs before the places: they are embeddings, and all arguments are integers."""
    embeddings = all(isinstance(p, Site) and isinstance(p.module, (nn.Embedding, nn.EmbeddingBag)) for p in places)
    return embeddings and not any(t.is_floating_point() for t in flat(tuple(arguments.call())))


def _reads(model: Model, sites: Sequence[Site], arguments: Arguments) -> _Reads:
    seen: _Reads = []
    with contextlib.ExitStack() as stack, torch.no_grad():
        for site in sites:
            hook = site.module.register_forward_pre_hook(
                lambda module, args, kwargs, site=site: seen.append((site, flat((args, kwargs)))), with_kwargs=True
            )
            stack.callback(hook.remove)
        call = arguments.call()
        eager(model)(*call.args, **call.kwargs)
    return seen


def _readers(
    reads: _Reads, ids: Tensor, alike: Callable[[Tensor, Tensor], bool], but: Collection[Site] = ()
) -> tuple[Site, ...]:
    sites = [site for site, given in reads if site not in but and any(alike(g, ids) for g in given)]
    return tuple(dict.fromkeys(sites))


def _columns(reads: _Reads, sites: Sequence[Site], ids: Tensor) -> tuple[Site, ...]:
    """Return the embedding of each column of one row of ids; nothing unless every column has one that runs once."""
    if len(sites) < 2 or ids.ndim != 2 or len(sites) != ids.shape[1]:
        return ()
    by_column: dict[int, Site] = {}
    for site, given in reads:
        if site not in sites:
            continue
        column = [t for t in given if t.numel() == 1 and _same_memory(t, ids)]
        if len(column) != 1:
            return ()
        by_column[int(column[0].storage_offset() - ids.storage_offset()) // ids.stride(1)] = site
    runs = sum(site in sites for site, _ in reads)
    whole = runs == len(sites) and sorted(by_column) == list(range(len(sites)))
    return tuple(by_column[k] for k in range(len(sites))) if whole else ()


def _refuse_several(sites: Sequence[Site], reads: _Reads) -> None:
    runs = sum(site in sites for site, _ in reads)
    if len(sites) > 1:
        names = ", ".join(repr(site.name) for site in sites)
        raise ArgumentError(f"inputs: the embeddings {names} read the same ids; give layer=, one or several of them")
    if runs > 1:
        raise ArgumentError(
            f"inputs: the embedding {sites[0].name!r} of these ids runs {runs} times in a forward pass; "
            "give layer=, a layer behind it that runs once"
        )


def _same_memory(one: Tensor, other: Tensor) -> bool:
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.numel() == other.numel() and torch.equal(one.reshape(-1).long(), other.reshape(-1).long())


def _moved_to_ranges(one: Tensor, other: Tensor) -> bool:
    """Tell whether one holds the columns of another, each moved on to a range of its own that follows the last."""
    if one.shape != other.shape or other.ndim != 2 or one.is_floating_point():
        return False
    steps = (one - other)[0]
    return int(steps[0]) == 0 and bool((steps.diff() >= 0).all())


def _keeping(arguments: Arguments, explained_numbers: list[int], names: tuple[str, ...]) -> Arguments:
    """Return the arguments by keyword, with some of the explained arguments passed on unexplained."""
    values = (*arguments.explained, *arguments.extra)
    by_name = arguments.keywords | {_name(names, k): value for k, value in enumerate(values)}
    chosen = tuple(names[k] for k in explained_numbers)
    rest = {name: value for name, value in by_name.items() if name not in chosen}
    return Arguments(tuple(arguments.explained[k] for k in explained_numbers), (), chosen, rest)


def _nothing(arguments: Arguments) -> ArgumentError:
    return ArgumentError(
        f"inputs: expected floating point numbers to differentiate, got {arguments.explained[0].dtype}, which "
        "no embedding of the model reads; give layer=, the layer (or its name) whose values are to be explained"
    )


def _name(names: tuple[str, ...], k: int) -> str:
    if k >= len(names):
        raise ArgumentError(
            f"inputs: argument {k} of the model has no name; give layer=, the layers whose values are to be explained"
        )
    return names[k]
