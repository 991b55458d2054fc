"""What an input may not bring about is noticed, whoever catches what."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from lamslsa.errors import FormatError
from lamslsa.measure.model.scan import scan
from tests.fuzz.guard import MEMORY, Guarded


def opens(_: bytes) -> None:
    with suppress(Exception):
        Path("/etc/hostname").read_bytes()


def writes(_: bytes) -> None:
    with suppress(Exception):
        (Path(sys.prefix) / "no-such-folder" / "x").write_bytes(b"")


def runs(_: bytes) -> None:
    with suppress(Exception):
        subprocess.run(["true"], check=True)


def executes(_: bytes) -> None:
    exec("1")


def unpickles(_: bytes) -> None:
    pickle.loads(pickle.dumps(print))


def swallows(_: bytes) -> None:
    bytearray(MEMORY + 2**24)[::4096] = b"x" * ((MEMORY + 2**24) // 4096)


@pytest.mark.parametrize("take", [opens, writes, runs, executes, unpickles, swallows])
def test_it_is_noticed(take: Callable[[bytes], None]) -> None:
    guarded = Guarded(take, list)
    with pytest.raises(AssertionError, match="an input"):
        guarded(b"")


def test_nothing_is_noticed_of_what_reads_its_own_bytes() -> None:
    guarded = Guarded(lambda data: data + b"b", lambda: [b""])
    assert guarded(b"a") == b"ab"


def test_refusals_pass_through() -> None:
    def refuse(_: bytes) -> None:
        raise FormatError("expected a, got b", reason="fuzz")

    with pytest.raises(FormatError):
        Guarded(refuse, lambda: [b"x"])(b"")


@pytest.mark.parametrize("text", [b"import os(\n", b"def f(:\n", b"class A\n", b"import os\n\x0c)\n"])
def test_a_text_that_is_nearly_python_opens_nothing(text: bytes) -> None:
    """The compiler looks for the line that it complains of in the file of the name that it was given."""
    guarded = Guarded(lambda data: scan(iter([("run", memoryview(data))])), lambda: [b"import os\n"])
    guarded(text)
