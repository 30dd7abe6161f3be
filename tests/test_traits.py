"""Facts about data."""

from __future__ import annotations

import dataclasses

import pytest

from pnpxai.traits import Traits


@pytest.mark.parametrize(
    ("traits", "channel_dim", "positions", "discrete"),
    [
        (Traits.image(), 1, 2, False),
        (Traits.text(), -1, 1, True),
        (Traits.series(), 1, 1, False),
        (Traits.table(), None, 1, False),
    ],
    ids=lambda value: getattr(value, "modality", ""),
)
def test_each_modality_has_its_facts(traits, channel_dim, positions, discrete):
    assert (traits.channel_dim, traits.positions, traits.discrete) == (channel_dim, positions, discrete)


def test_facts_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Traits.image().discrete = True
