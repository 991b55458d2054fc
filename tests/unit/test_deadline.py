"""A deadline shuts connections down, late ones too, and leaves those alone that are done in time."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from lamslsa._deadline import Deadline

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Both ends of a connection; a read fails rather than waits for ever."""
    near, far = socket.socketpair()
    with near, far:
        near.settimeout(10)
        yield near, far


def test_a_read_ends_at_the_deadline(ends: Ends) -> None:
    with Deadline(0.05) as deadline:
        deadline.watch(ends[0])
        assert ends[0].recv(1) == b""
        assert deadline.passed


def test_a_connection_that_comes_too_late_is_shut_down_at_once(ends: Ends) -> None:
    first, second = socket.socketpair()
    with first, second, Deadline(0.05) as deadline:
        deadline.watch(first)
        assert first.recv(1) == b""
        deadline.watch(ends[0])
        ends[0].setblocking(False)
        assert ends[0].recv(1) == b""


def test_all_connections_of_the_block_are_watched(ends: Ends) -> None:
    first, second = socket.socketpair()
    with first, second, Deadline(0.05) as deadline:
        first.settimeout(10)
        for connection in (first, ends[0]):
            deadline.watch(connection)
        assert (first.recv(1), ends[0].recv(1)) == (b"", b"")


def test_a_connection_outlives_a_block_that_ends_in_time(ends: Ends) -> None:
    near, far = ends
    with Deadline(60) as deadline:
        deadline.watch(near)
    assert not deadline.passed
    far.send(b"x")
    assert near.recv(1) == b"x"


def test_no_handle_is_left(ends: Ends) -> None:
    near, far = ends
    with Deadline(60) as deadline:
        deadline.watch(near)
    near.close()
    far.settimeout(10)
    assert far.recv(1) == b"", "the other end sees it closed"


def test_a_connection_that_is_gone_is_no_error(ends: Ends) -> None:
    left, right = socket.socketpair()
    left.shutdown(socket.SHUT_RDWR)
    with left, right, Deadline(0.05) as deadline:
        deadline.watch(left)
        deadline.watch(ends[0])
        assert ends[0].recv(1) == b""


def test_a_deadline_goes_on_after_what_it_covers(ends: Ends) -> None:
    deadline = Deadline(0.05)
    deadline.start()
    try:
        with deadline.covering():
            deadline.watch(ends[0])
        assert ends[0].recv(1) == b""
        assert deadline.passed
    finally:
        deadline.stop()
        deadline.stop()
