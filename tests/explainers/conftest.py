"""Lets failing asserts of the sweep's checks show their values, as those of test files do."""

import pytest

pytest.register_assert_rewrite("tests.explainers.checks")
