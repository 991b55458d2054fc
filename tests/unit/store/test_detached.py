"""What an error that is kept as data keeps alive."""

from __future__ import annotations

import gc
import weakref

import pytest

from lamslsa.errors import FormatError
from lamslsa.store.detached import detached


class _Large:
    """Stands for the bytes that were being read."""


def test_nothing_that_was_being_read_is_kept() -> None:
    alive: list[weakref.ref[_Large]] = []

    def read() -> None:
        document, parsed = _Large(), ValueError(_Large())
        alive.extend([weakref.ref(document), weakref.ref(parsed.args[0])])
        try:
            raise parsed
        except ValueError as err:
            raise FormatError("expected a, got b", reason="some-reason") from err

    with pytest.raises(FormatError) as caught:
        read()
    kept = detached(caught.value)
    del caught
    gc.collect()
    assert (kept.reason, [found() for found in alive]) == ("some-reason", [None, None])
    assert [kept.__traceback__, kept.__cause__, kept.__context__] == [None, None, None]
