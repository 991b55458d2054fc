"""Errors that are kept as data.

An error that is raised holds on to the frames it went through and to the errors that it came from, and those hold what
was being read: a list of a thousand refused files would keep a thousand files in memory.
"""

from __future__ import annotations

from typing import TypeVar

from lamslsa.errors import LamslsaError

__all__ = ["detached"]

_Error = TypeVar("_Error", bound=LamslsaError)


def detached(err: _Error) -> _Error:
    """The same error without its trace and without the errors that it came from."""
    err.__traceback__ = err.__cause__ = err.__context__ = None
    return err
