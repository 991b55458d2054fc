"""The order in which a seed draws rows.

Row i (counted from 0, in the order in which rows stand before the step) has the number that the first 8 bytes, big
endian, of SHA-256("lamslsa preprocess/1" 0x0A ‖ seed ‖ 0x0A ‖ i) give, seed and i in decimal. Rows are drawn from the
smallest number on; equal numbers by i. No library's generator decides, so anybody can draw the same rows again.
"""

from __future__ import annotations

from typing import Final

__all__ = ["DOMAIN", "drawn"]

DOMAIN: Final = "lamslsa preprocess/1"


def drawn(seed: int, index: str = "rowid") -> str:
    """The number of a row as an SQL expression; ``index`` is the expression of i."""
    return f"('0x' || left(sha256('{DOMAIN}' || chr(10) || '{seed}' || chr(10) || {index}::VARCHAR), 16))::UBIGINT"
