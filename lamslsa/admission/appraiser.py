"""From a reference to a verdict, while others wait: a cache, a bounded queue, and threads that are given up in time.

Rules:
- Whoever asks gets a verdict or a promise at once, and decides how long to wait. What does not fit into the queue is
  refused at once.
- A model that several ask about is judged once.
- Only registries that were named are asked: the reference is a stranger's, and a request to a place of their choice
  would be as well.
- A kept acceptance does not outlive the policy: whether that is in force is asked each time.
"""

from __future__ import annotations

import datetime as dt
import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, Protocol

from lamslsa._attempts import Stop, StoppedError
from lamslsa.admission.references import key
from lamslsa.admission.verdicts import Cache, Verdict
from lamslsa.errors import FormatError, LamslsaError, PolicyError, UnavailableError
from lamslsa.policy import Policy
from lamslsa.store.oci import Reference

__all__ = ["Appraiser", "Judge"]

_JOIN_S: Final = 2.0


class Judge(Protocol):
    """Judges one model; takes as long as it takes, and ends when the `Stop` of its thread says so."""

    def __call__(self, model: Reference, policy: Policy, /) -> Verdict:
        """The verdict.

        Raises:
            LamslsaError: a refusal as well; not final where it is an `UnavailableError`.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    model: Reference
    policy: Policy
    promise: Future[Verdict]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Appraiser:
    """Judges models under the policy of the moment.

    Args:
        judge: who judges.
        policy: the policy of the moment.
        registries: the hosts that may be asked, with their ports, in lower case.
        cache: what is known already.
        workers: how many models are judged at a time.
        waiting: how many may wait for that.
        patience_s: after so long a model is given up, in seconds.
        failed: told of an error that nobody foresaw.
        now: the time as of which a policy is in force.
    """

    def __init__(
        self,
        judge: Judge,
        *,
        policy: Callable[[], Policy],
        registries: Iterable[str],
        cache: Cache,
        workers: int = 4,
        waiting: int = 1024,
        patience_s: float = 30.0,
        failed: Callable[[BaseException], None] = lambda _: None,
        now: Callable[[], dt.datetime] = _now,
    ) -> None:
        self._judge = judge
        self._policy = policy
        self._registries = frozenset(registries)
        self._cache = cache
        self._patience_s = patience_s
        self._failed = failed
        self._now = now
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, str], Future[Verdict]] = {}
        self._queue: queue.Queue[_Task | None] = queue.Queue(waiting + workers)
        self._limit = waiting
        self._stop = Stop()
        self._workers = [
            threading.Thread(target=self._work, name=f"appraiser-{n}", daemon=True) for n in range(workers)
        ]
        for worker in self._workers:
            worker.start()

    @property
    def waiting(self) -> int:
        """How many models wait to be judged."""
        return self._queue.qsize()

    def ask(self, model: Reference) -> Verdict | Future[Verdict]:
        """The verdict where it is known, or else the promise of one; never raises and never waits."""
        if model.host not in self._registries:
            return Verdict.refused(
                FormatError(
                    f"expected a model in {' or '.join(sorted(self._registries)) or 'a registry that is named'}, "
                    f"got one in {model.host}",
                    reason="admission-registry",
                    hint="push it there, or name this registry with --registry",
                )
            )
        policy = self._policy()
        try:
            policy.refuse_out_of_force(self._now(), self._now())
        except PolicyError as err:
            return Verdict.refused(err)
        known = self._cache.get(model, policy.closure)
        if known is not None:
            return known
        return self._promise(model, policy)

    def _promise(self, model: Reference, policy: Policy) -> Verdict | Future[Verdict]:
        name = key(model), policy.closure
        with self._lock:
            pending = self._pending.get(name)
            if pending is not None:
                return pending
            if self._stop.is_set():
                return Verdict.refused(_stopping())
            if self._queue.qsize() >= self._limit:
                return Verdict.refused(
                    UnavailableError(
                        f"expected fewer than {self._limit} models to wait, got as many",
                        reason="admission-queue",
                        hint="try again",
                    )
                )
            promise: Future[Verdict] = Future()
            promise.set_running_or_notify_cancel()  # others may wait for it: nobody takes it back
            self._pending[name] = promise
            self._queue.put_nowait(_Task(model=model, policy=policy, promise=promise))
        return promise

    def close(self) -> None:
        """Give up what is being judged, and end the threads."""
        with self._lock:
            self._stop.set()
            for _ in self._workers:
                self._queue.put_nowait(None)
        for worker in self._workers:
            worker.join(_JOIN_S)

    def _work(self) -> None:
        while (task := self._queue.get()) is not None:
            verdict = self._judged(task)
            self._cache.put(task.model, task.policy.closure, verdict)
            with self._lock:
                del self._pending[key(task.model), task.policy.closure]
            task.promise.set_result(verdict)

    def _judged(self, task: _Task) -> Verdict:
        if self._stop.is_set():
            return Verdict.refused(_stopping())
        stop = Stop()
        self._stop.add(stop.set)
        timer = threading.Timer(self._patience_s, stop.set)
        timer.daemon = True
        timer.start()
        try:
            with stop.covering():
                return self._judge(task.model, task.policy)
        except LamslsaError as err:
            return Verdict.refused(err)
        except StoppedError:
            return Verdict.refused(self._given_up())
        except Exception as err:  # noqa: BLE001 - whatever it is, it is a refusal, and the thread lives on
            self._failed(err)
            if stop.is_set():
                return Verdict.refused(self._given_up())
            return Verdict.refused(
                UnavailableError(
                    f"expected a verdict, got {type(err).__name__}", reason="admission-error", hint="see the log"
                )
            )
        finally:
            timer.cancel()
            self._stop.discard(stop.set)

    def _given_up(self) -> UnavailableError:
        if self._stop.is_set():
            return _stopping()
        return UnavailableError(
            f"expected a verdict within {self._patience_s:g} seconds, got none",
            reason="admission-patience",
            hint="see whether the registry answers",
        )


def _stopping() -> UnavailableError:
    return UnavailableError(
        "expected an appraiser at work, got one that stops", reason="admission-stop", hint="try again"
    )
