"""A few changed files of every kind; ``python -m tests.fuzz.files --cases 1000`` changes more."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.files import READERS, judged, sound

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("kind", READERS)
def test_a_changed_file_is_read_or_refused(kind: str, tmp_path: Path) -> None:
    content = sound(kind, tmp_path)
    assert {judged(kind, tmp_path, content, k) for k in range(6)} <= {"read", "refused"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", READERS)
def test_many_changed_files_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    content = sound(kind, tmp_path)
    assert {judged(kind, tmp_path, content, 1000 + k) for k in range(60)} <= {"read", "refused"}
