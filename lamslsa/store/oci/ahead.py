"""Opening one thing after the other, several at a time and a few ahead of who takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from lamslsa._attempts import Stop, StoppedError

__all__ = ["opened"]

_AHEAD: Final = 2

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def opened(
    items: Iterable[_Item], opening: Callable[[_Item], _Result], *, workers: int
) -> Generator[_Result, None, None]:
    """The results in the order of the items, several at a time and a few ahead of who takes them.

    Whoever takes no more closes this: what is under way is then ended. So it is by the first error.
    """
    waiting: deque[Future[_Result]] = deque()
    stop = Stop()
    failed: list[BaseException] = []

    def work(item: _Item) -> _Result:
        try:
            with stop.covering():
                return opening(item)
        except BaseException as err:
            failed.append(err)
            stop.set()
            raise

    pool = ThreadPoolExecutor(workers, thread_name_prefix="lamslsa-referrers")
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except StoppedError:
        raise failed[0] from None
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
