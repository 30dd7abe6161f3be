"""What tests against captum have in common."""

import contextlib
import warnings

import pytest

from tests.on_demand import CAPTUM


@pytest.fixture
def captum_may_warn(request):
    """Ignore warnings of captum: in a test that takes a ``library``, where that is captum; elsewhere always."""
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    ours = parameters.get("library", CAPTUM) is not CAPTUM
    with contextlib.nullcontext() if ours else warnings.catch_warnings():
        if not ours:
            warnings.simplefilter("ignore")
        yield
