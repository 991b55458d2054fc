"""From a reference to a verdict: what is kept and for how long, what is refused at once, what is given up."""

from __future__ import annotations

import dataclasses
import datetime as dt
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest

from lamslsa import _attempts
from lamslsa.admission.appraiser import Appraiser, Judge
from lamslsa.admission.judge import RegistryJudge
from lamslsa.admission.references import pinned
from lamslsa.admission.verdicts import Cache, Verdict
from lamslsa.errors import UnavailableError
from lamslsa.policy import Policy
from lamslsa.store.oci import Reference
from lamslsa.testing.registry import Answer, Fault, Substitute
from tests.unit.admission.conftest import Place

DIGEST = "sha256:" + "3f" * 32
ONE = pinned(f"registry.example/one@{DIGEST}")
SAME = pinned(f"registry.example/elsewhere/one@{DIGEST}")
RENAMED = pinned(f"registry.example/other@{DIGEST}")
TWO = pinned("registry.example/two@sha256:" + "4e" * 32)
YES = Verdict(accepted=True)
NO = Verdict(accepted=False, reason="model-refused", message="no")
LATER = Verdict.refused(UnavailableError("gone", reason="gone"))


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def wait(answer: Verdict | Future[Verdict]) -> Verdict:
    return answer if isinstance(answer, Verdict) else answer.result(10)


@contextmanager
def appraiser(judge: Judge, policy: Policy | Callable[[], Policy], **options: Any) -> Iterator[Appraiser]:
    options = {"registries": ["registry.example"], "cache": Cache(), "workers": 2, **options}
    made = Appraiser(judge, policy=(lambda: policy) if isinstance(policy, Policy) else policy, **options)
    try:
        yield made
    finally:
        made.close()


class Counting:
    """Says the same of every model, and whom it was asked about."""

    def __init__(self, verdict: Verdict = YES) -> None:
        self.verdict = verdict
        self.asked: list[Reference] = []

    def __call__(self, model: Reference, policy: Policy) -> Verdict:
        self.asked.append(model)
        return self.verdict


def test_an_acceptance_is_kept_for_the_digest() -> None:
    clock = Clock()
    cache = Cache(accepted_s=10, clock=clock)
    cache.put(ONE, "p", YES)
    assert cache.get(ONE, "p") == cache.get(SAME, "p") == YES
    assert cache.get(ONE, "q") is None
    assert cache.get(TWO, "p") is None
    assert cache.get(RENAMED, "p") is None, "an expression may ask for the name"
    clock.at += 9.9
    assert cache.get(ONE, "p") == YES
    clock.at += 0.1
    assert cache.get(ONE, "p") is None
    assert len(cache) == 0


def test_a_refusal_is_kept_for_its_place_and_shorter() -> None:
    clock = Clock()
    cache = Cache(accepted_s=10, refused_s=1, clock=clock)
    cache.put(SAME, "p", NO)
    assert cache.get(SAME, "p") == NO
    assert cache.get(ONE, "p") is None
    clock.at += 1
    assert cache.get(SAME, "p") is None


def test_what_is_not_final_is_not_kept() -> None:
    cache = Cache()
    cache.put(ONE, "p", LATER)
    assert len(cache) == 0


def test_nothing_is_kept_for_no_time() -> None:
    cache = Cache(accepted_s=0, refused_s=0)
    cache.put(ONE, "p", YES)
    cache.put(TWO, "p", NO)
    assert len(cache) == 0


def test_the_cache_has_an_end() -> None:
    cache = Cache(size=2)
    for closure in "abc":
        cache.put(ONE, closure, YES)
        cache.get(ONE, "a")
    assert [cache.get(ONE, closure) for closure in "abc"] == [YES, None, YES]


def test_a_model_is_judged_once_and_then_known(place: Place) -> None:
    judge = Counting()
    with appraiser(judge, place.policy) as asked:
        assert wait(asked.ask(ONE)) == YES
        assert asked.ask(ONE) == YES
        assert asked.ask(SAME) == YES
    assert judge.asked == [ONE]


def test_another_policy_is_asked_anew(place: Place) -> None:
    current = [place.policy]
    judge = Counting()
    with appraiser(judge, lambda: current[0]) as asked:
        wait(asked.ask(ONE))
        current[0] = dataclasses.replace(place.policy, closure="0" * 64)
        wait(asked.ask(ONE))
    assert judge.asked == [ONE, ONE]


def test_who_cannot_be_reached_is_asked_again(place: Place) -> None:
    judge = Counting(LATER)
    with appraiser(judge, place.policy) as asked:
        assert wait(asked.ask(ONE)) == wait(asked.ask(ONE)) == LATER
    assert judge.asked == [ONE, ONE]


def test_a_kept_acceptance_does_not_outlive_the_policy(place: Place) -> None:
    ends = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
    now = [ends - dt.timedelta(seconds=1)]
    policy = dataclasses.replace(place.policy, expires=ends, effective_from=None)
    with appraiser(Counting(), policy, now=lambda: now[0]) as asked:
        assert wait(asked.ask(ONE)) == YES
        now[0] = ends
        assert wait(asked.ask(ONE)).reason == "policy-expired"


def test_other_registries_are_not_asked(place: Place) -> None:
    judge = Counting()
    with appraiser(judge, place.policy, registries=["registry.example:5000"]) as asked:
        verdict = asked.ask(ONE)
        assert isinstance(verdict, Verdict)
        assert (verdict.accepted, verdict.reason) == (False, "admission-registry")
    assert judge.asked == []


class Gate:
    """Waits until it is opened."""

    def __init__(self) -> None:
        self.begun, self.opened = threading.Semaphore(0), threading.Event()

    def __call__(self, model: Reference, policy: Policy) -> Verdict:
        self.begun.release()
        self.opened.wait(10)
        return YES


def test_several_wait_for_the_same_verdict(place: Place) -> None:
    gate = Gate()
    with appraiser(gate, place.policy) as asked:
        first, second = asked.ask(ONE), asked.ask(ONE)
        assert isinstance(first, Future)
        assert first is second
        assert not first.cancel()
        gate.opened.set()
        assert wait(first) == YES


def test_the_queue_has_an_end(place: Place) -> None:
    gate = Gate()
    with appraiser(gate, place.policy, workers=1, waiting=1) as asked:
        running = asked.ask(ONE)
        assert gate.begun.acquire(timeout=10)
        waiting = asked.ask(TWO)
        assert asked.waiting == 1
        refused = asked.ask(SAME)
        assert isinstance(refused, Verdict)
        assert (refused.accepted, refused.final, refused.reason) == (False, False, "admission-queue")
        gate.opened.set()
        assert [wait(running), wait(waiting)] == [YES, YES]


def test_what_takes_too_long_is_given_up(place: Place) -> None:
    def slow(model: Reference, policy: Policy) -> Verdict:
        _attempts.sleep(60)
        _attempts.refuse_stopped()
        return YES

    with appraiser(slow, place.policy, patience_s=0.01) as asked:
        verdict = wait(asked.ask(ONE))
        assert (verdict.accepted, verdict.final, verdict.reason) == (False, False, "admission-patience")


def test_what_nobody_foresaw_is_a_refusal_and_told(place: Place) -> None:
    def broken(model: Reference, policy: Policy) -> Verdict:
        raise KeyError("secret")

    told: list[BaseException] = []
    with appraiser(broken, place.policy, workers=1, failed=told.append) as asked:
        for _ in range(2):  # the thread lives on
            verdict = wait(asked.ask(ONE))
            assert (verdict.accepted, verdict.final, verdict.reason) == (False, False, "admission-error")
            assert "secret" not in verdict.message
    assert [type(item) for item in told] == [KeyError, KeyError]


def test_closing_gives_up_what_is_asked(place: Place) -> None:
    begun = threading.Event()

    def slow(model: Reference, policy: Policy) -> Verdict:
        begun.set()
        _attempts.sleep(60)
        _attempts.refuse_stopped()
        return YES

    with appraiser(slow, place.policy, workers=1) as asked:
        running = asked.ask(ONE)
        assert begun.wait(10)
        waiting = asked.ask(TWO)
        asked.close()
        assert [wait(each).reason for each in (running, waiting, asked.ask(SAME))] == ["admission-stop"] * 3


def test_a_model_in_a_registry(place: Place) -> None:
    judge = RegistryJudge(options=place.options)
    verdict = judge(place.model, place.policy)
    assert verdict == YES, verdict.message


def test_a_model_without_attestations_is_refused_there_alone(place: Place) -> None:
    bare = place.bare("team/bare")
    assert bare.digest == place.model.digest
    with appraiser(RegistryJudge(options=place.options), place.policy, registries=[place.host]) as asked:
        verdict = wait(asked.ask(bare))
        assert (verdict.accepted, verdict.final, verdict.reason) == (False, True, "model-refused")
        assert wait(asked.ask(place.model)) == YES


def test_a_model_that_is_not_there_is_refused(place: Place) -> None:
    missing = pinned(f"{place.host}/team/census@{DIGEST}")
    with appraiser(RegistryJudge(options=place.options), place.policy, registries=[place.host]) as asked:
        verdict = wait(asked.ask(missing))
    assert (verdict.accepted, verdict.reason) == (False, "store-no-artifact")


def test_a_registry_that_gives_another_model_is_found_out(place: Place) -> None:
    place.registry.faults.add(Fault("GET", "/manifests/", Substitute(b"{}"), times=20))
    with appraiser(RegistryJudge(options=place.options), place.policy, registries=[place.host]) as asked:
        assert not wait(asked.ask(place.model)).accepted


@pytest.mark.parametrize("path", ["/manifests/", "/referrers/", "/blobs/"])
def test_a_registry_that_fails_is_asked_again(place: Place, path: str) -> None:
    """An attestation that could not be read is no verdict."""
    place.registry.faults.add(Fault("GET", path, Answer(status=503), times=1000))
    with appraiser(RegistryJudge(options=place.options), place.policy, registries=[place.host]) as asked:
        verdict = wait(asked.ask(place.model))
        assert (verdict.accepted, verdict.final) == (False, False), verdict.message
        assert verdict.reason == "admission-unread" or path != "/blobs/"
        place.registry.faults.clear()
        assert wait(asked.ask(place.model)) == YES


def test_a_registry_that_is_down_is_no_verdict(place: Place) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        with appraiser(RegistryJudge(options=place.options), place.policy, registries=[host]) as asked:
            verdict = wait(asked.ask(pinned(f"{host}/team/census@{DIGEST}")))
    assert (verdict.accepted, verdict.final) == (False, False)
