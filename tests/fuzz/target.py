"""What a target of fuzzing is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from lamslsa.errors import LamslsaError

__all__ = ["KIB", "Target"]

KIB: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One way in.

    Attributes:
        take: raises a `LamslsaError` to refuse the bytes; any other exception is a fault.
        seeds: inputs that mutations start from, made at run time; the first one is taken.
        real: real files of this kind, from the shared folder.
        parts: how many inputs are joined into one (`mutate.join`).
        max_bytes: of an input.
        rounds: how many mutated inputs `make test` tries, from either seed.
    """

    take: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    real: Callable[[], Sequence[bytes]] = tuple
    parts: int = 1
    max_bytes: int = 16 * KIB
    rounds: int = 120

    def run(self, data: bytes) -> bool:
        """Whether the bytes are taken."""
        try:
            self.take(data)
        except LamslsaError:
            return False
        return True
