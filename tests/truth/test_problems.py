"""Problems hold what is said of them: their evidence decides, and nets use it and nothing else."""

import pytest
import torch

from pnpxai.truth.families import FAMILIES

KINDS = ("image", "table", "series", "text")


def test_half_are_held_back_and_a_third_of_each_half_is_redundant() -> None:
    for split in ("dev", "held"):
        families = [f for f in FAMILIES.values() if f.split == split]
        assert len(families) == 12
        assert sum(f.redundant for f in families) == 4
        assert [sum(f.kind == kind for f in families) for kind in KINDS] == [3, 3, 3, 3]


@pytest.mark.parametrize("name", FAMILIES)
def test_draws_keep_the_evidence_where_it_is_and_nothing_else(name: str) -> None:
    family = FAMILIES[name]
    drawn, again = family.draw(24, 3, 1), family.draw(24, 3, 1)
    assert torch.equal(drawn.inputs, again.inputs)
    there = drawn.truth if drawn.truth.ndim == drawn.inputs.ndim else drawn.truth.unsqueeze(1).expand_as(drawn.inputs)
    assert there.flatten(1).any(1).all()
    assert not there.flatten(1).all(1).any()
    assert torch.equal(drawn.emptied[~there], drawn.inputs[~there])
    moved = (drawn.emptied != drawn.inputs) & there
    assert moved.flatten(1).any(1).all()
    assert (drawn.replaced != drawn.inputs)[~there].double().mean() > 0.5
    assert len(drawn.labels.unique()) == len(family.draw(200, 3, 1).labels.unique())
    if family.kind in ("table", "text"):
        assert torch.equal(drawn.replaced[there], drawn.inputs[there])


@pytest.mark.parametrize("name", ["gate", "trend", "word repeats"])
def test_nets_are_right_for_the_sake_of_the_evidence(name: str) -> None:
    problem = FAMILIES[name].problem(1, 8)
    assert problem.proof.holds, problem.proof
    assert len(problem.examples.inputs) == 8
    with torch.no_grad():
        assert torch.equal(problem.model(problem.examples.inputs).argmax(1), problem.examples.labels)


def test_what_is_asked_for_differs_by_seed() -> None:
    first, second = (FAMILIES["additive"].draw(4, seed, 1).truth[0] for seed in (0, 1))
    assert not torch.equal(first, second)
