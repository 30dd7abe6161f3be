"""A network whose runs are counted."""

import pytest

from pnpxai.engine.running.probes import is_probe
from tests.small import Bright


@pytest.fixture
def net() -> Bright:
    return Bright()


@pytest.fixture
def rows(net: Bright) -> list[int]:
    """Count the rows that run through the network; ``sum(rows)``."""
    seen: list[int] = []
    net.conv.register_forward_hook(lambda module, inputs, output: None if is_probe() else seen.append(len(inputs[0])))
    return seen
