"""Maps find their inputs."""

import pytest
import torch

from pnpxai.explainers.results.match_inputs import by_input, whose

PICTURE, IDS, TABLE, SERIES = torch.rand(2, 3, 4, 5), torch.ones(2, 7).long(), torch.rand(2, 6), torch.rand(2, 3, 9)


@pytest.mark.parametrize(
    ("maps", "inputs", "expected"),
    [
        ([(2, 4, 5), (2, 7)], [PICTURE, IDS], (0, 1)),
        ([(2, 1, 4, 5)], [PICTURE, IDS], (0,)),
        ([(2, 4, 5)], [IDS, PICTURE], (1,)),
        ([(2, 7, 16)], [PICTURE, IDS], (1,)),
        ([(2, 9)], [TABLE, SERIES], (1,)),
        ([(2, 6)], [SERIES, TABLE], (1,)),
        ([(2, 4, 5)], [IDS, PICTURE.movedim(1, -1)], (1,)),
        ([(2, 8, 2, 2), (2, 16)], [PICTURE], (0, 0)),
        ([(2, 8, 2, 2)], [IDS, PICTURE], (0,)),
    ],
)
def test_whose(maps, inputs, expected):
    assert whose([torch.zeros(shape) for shape in maps], inputs) == expected


def test_inputs_without_a_map_have_none():
    of_picture = torch.zeros(2, 4, 5)
    assert by_input([of_picture], [IDS, PICTURE, TABLE]) == (None, of_picture, None)
    first, second = torch.zeros(2, 3), torch.zeros(2, 4)
    assert by_input([first, second], [PICTURE]) == (first,)  # of two layers, the first
