"""The one test that speaks when the shared files are missing."""

from __future__ import annotations

from pathlib import Path


def test_shared_files_are_there(shared: Path) -> None:
    assert (shared / "evidence" / "SOURCES.md").is_file()
