"""What the measurers share: they take verified bytes and a job, tell how far they have come, and give payload bytes.

A measurer opens no path, runs no code that came with the data, and puts into its statement everything that could change
the result.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Progress", "silent"]


class Progress(Protocol):
    """Is told how far a stage has come; ``total`` does not change within a stage."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report that ``done`` of ``total`` steps of ``stage`` are done."""
        ...


def silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""
