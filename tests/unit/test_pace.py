from __future__ import annotations

import os

import pytest

from lamslsa import _pace
from lamslsa._pace import Pace, duration, memory_in_use, size


@pytest.mark.parametrize(
    ("done", "total", "now", "words"),
    [
        (0, 10, 5.0, "0% of 10 in 5.0 s, 7 B in use"),
        (5, 10, 10.0, "50% of 10 in 10 s, 2.0 s each, 10 s left, 7 B in use"),
        (10, 10, 2.0, "100% of 10 in 2.0 s, 5/s, 7 B in use"),
        (0, 0, 1.0, "100% of 0 in 1.0 s, 7 B in use"),
        (1_500_000, 3_000_000, 1.0, "50% of 3,000,000 in 1.0 s, 1,500,000/s, 1.0 s left, 7 B in use"),
        (1, 3, 3600.0, "33% of 3 in 60 min, 60 min each, 2 h 0 min left, 7 B in use"),
    ],
)
def test_words(done: int, total: int, now: float, words: str) -> None:
    assert Pace(0.0).words(done=done, total=total, unit="", now=now, memory=7) == words


def test_units() -> None:
    assert [size(n) for n in (0, 1023, 1024, 1024**4, 5 * 1024**5)] == [
        *("0 B", "1023 B", "1.0 KiB", "1.0 TiB", "5120.0 TiB")
    ]
    assert [duration(n) for n in (0, 9.96, 59.6, 599, 600, 7199, 7200)] == [
        *("0.0 s", "10.0 s", "60 s", "599 s", "10 min", "2 h 0 min", "2 h 0 min")
    ]


def test_memory_is_this_process(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    used = memory_in_use()
    assert used is not None
    held = bytearray(os.urandom(1) * (64 * 1024 * 1024))
    grown = memory_in_use()
    assert grown is not None
    assert grown - used > len(held) // 2
    monkeypatch.setattr(_pace, "_STATM", __import__("pathlib").Path("/nonexistent/statm"))
    assert memory_in_use() is None
