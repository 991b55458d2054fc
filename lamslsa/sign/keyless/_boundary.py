"""The one boundary to Sigstore's client: whatever it raises becomes a refusal of ours, and nothing else gets through.

Its documented errors are few, but malformed material also reaches it as ValueError, AttributeError, IndexError, errors
of pydantic, and as a panic of Rust code, which is no Exception. None of them may look like success or like a bug.

>>> from lamslsa.errors import VerificationError
>>> with refusing(lambda err: VerificationError(f"expected x, got {told(err)}", reason="example")):
...     {}["missing"]
Traceback (most recent call last):
    ...
lamslsa.errors.VerificationError: expected x, got KeyError: 'missing'
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from lamslsa.errors import LamslsaError

__all__ = ["refusing", "told"]

_MAX_TEXT: Final = 200
_SPEAKING: Final = ("sigstore", "rfc3161_client")  # whose errors say in full what is wrong


@contextmanager
def refusing(refuse: Callable[[BaseException], LamslsaError]) -> Iterator[None]:
    """Raise what ``refuse`` makes of anything that the body raises; our own errors and the user's wish to stop pass.

    Raises:
        LamslsaError: the body raised something.
    """
    try:
        yield
    except (LamslsaError, KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
        raise
    except BaseException as err:  # a panic of Rust is no Exception, and its class cannot be imported
        raise refuse(err) from err


def told(err: BaseException) -> str:
    """What a foreign error says, on one line of printable characters; it may quote what the prover wrote."""
    text = " ".join(str(err).split())
    printable = "".join(char if char.isprintable() else "?" for char in text[:_MAX_TEXT])
    kind = type(err)
    if printable and kind.__module__.startswith(_SPEAKING):
        return printable
    return f"{kind.__name__}: {printable}" if printable else kind.__name__
