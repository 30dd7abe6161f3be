"""A network whose runs are counted."""

import pytest

from tests.small import Bright


@pytest.fixture
def net() -> Bright:
    return Bright()


@pytest.fixture
def rows(net: Bright) -> list[int]:
    """Count the rows that run through the network; ``sum(rows)``."""
    seen: list[int] = []
    net.conv.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    return seen
