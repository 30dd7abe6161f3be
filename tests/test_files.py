"""Files and folders that are there as a whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from pnpxai.files import write_file, write_folder


def _half(to: Path) -> None:
    (to / "first" if to.is_dir() else to).write_text("half")
    raise OSError("No space left on device")


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(OSError, match="No space"):
        write_file(path, _half)
    assert not list(tmp_path.iterdir())
    assert write_file(path, lambda to: to.write_text("whole")) == path
    with pytest.raises(OSError, match="No space"):
        write_file(path, _half)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["whole"]


def test_a_folder_gets_its_files_when_all_are_done(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with pytest.raises(OSError, match="No space"):
        write_folder(folder, _half)
    assert not list(tmp_path.iterdir())
    folder.mkdir()
    (folder / "first").write_text("before")
    (folder / "mine").write_text("mine")
    with pytest.raises(OSError, match="No space"):
        write_folder(folder, _half)
    assert (folder / "first").read_text() == "before"
    assert write_folder(folder, lambda to: (to / "first").write_text("whole")) == folder
    assert {p.name: p.read_text() for p in folder.iterdir()} == {"first": "whole", "mine": "mine"}
    assert list(tmp_path.iterdir()) == [folder]
