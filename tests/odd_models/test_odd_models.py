"""Every situation ends as the table of ``docs/reliability.md`` says: right, or refused in words that name the cause."""

from __future__ import annotations

import pytest

from tests.odd_models.table import SITUATIONS, line, written_lines

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("name", SITUATIONS)
def test_it_ends_as_the_table_says(name):
    assert line(SITUATIONS[name]) in written_lines()


def test_the_table_has_all_situations():
    assert [row.split(" | ")[0].removeprefix("| ") for row in written_lines()] == list(SITUATIONS)
