"""Evaluation in the worker: bombs stop, errors are no successes, and a worker that dies has said nothing."""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from lamslsa import _confined
from lamslsa._confined import Limits
from lamslsa.policy.cel import worker
from lamslsa.policy.cel.worker import Check, Outcome, View, evaluate, limits_for

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
METRICS = [{"name": "accuracy", "value": 0.5, "samples": 10}, {"name": "accuracy", "value": 0.9, "slice": {"a": "b"}}]
VIEW = View(
    model={"name": "m", "digest": {"sha256": "0" * 64}},
    lineage={"trainedOn": [], "trainings": []},
    attestations=({"signer": "é", "evaluation": {"metrics": METRICS}}, {"signer": "é", "dataset": {"rows": 3}}),
    overlaps=(("a", "b", 3), ("a", "c", "two differ")),
)


def _run(*texts: str, limits: Limits | None = None, view: View = VIEW, **parameters: Any) -> tuple[Outcome, ...]:
    checks = [Check(text=text, view=0, parameters=parameters) for text in texts]
    return evaluate([view], checks, now=NOW, limits=limits)


def _one(text: str, **parameters: Any) -> Outcome:
    (outcome,) = _run(text, **parameters)
    return outcome


MAY_FORK = _confined._may_fork


@pytest.fixture(params=["forked", "started"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(_confined, "_may_fork", lambda: request.param == "forked")
    return str(request.param)


def _doubled(seed: str, depth: int) -> str:
    """An expression whose value grows by eight at each of its levels."""
    inner = f"size(v{depth})"
    for level in range(depth, 0, -1):
        value = "+".join([f"v{level - 1}"] * 8) if level > 1 else seed
        inner = f"[{value}].map(v{level}, {inner})[0]"
    return f"{inner} > 0"


def _nested() -> str:
    inner = "true"
    for level in range(8):
        inner = f"[0,1,2,3,4,5,6,7,8,9].all(x{level}, {inner})"
    return inner


TEN_THOUSAND = "[0,1,2,3,4,5,6,7,8,9].all(x, [0,1,2,3,4,5,6,7,8,9].all(y, [0,1,2,3,4,5,6,7,8,9].all(z, {0})))"


def _slow() -> str:
    """A thousand times a regular expression over a megabyte."""
    inner = TEN_THOUSAND.replace("{0}", "!v6.matches('x*y')")
    for level in range(6, 0, -1):
        value = "+".join([f"v{level - 1}"] * 8) if level > 1 else "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'"
        inner = f"[{value}].map(v{level}, {inner})[0]"
    return inner


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (_doubled("'xxxxxxxxxxxxxxxx'", 10), "limits"),
        (_doubled("[1, 2, 3, 4]", 10), "limits"),
        (_slow(), "limits"),
        (_nested(), "error"),
        ("attestations.map(a, attestations.map(b, attestations)) == []" + " || " + _nested(), "error"),
    ],
    ids=["text", "list", "time", "steps", "steps beside"],
)
def test_bombs_are_refused(text: str, verdict: str) -> None:
    assert len(text) <= 8192
    outcome = _one(text)
    assert outcome.verdict == verdict
    assert outcome.message


def test_after_a_bomb_the_others_are_refused_too() -> None:
    first, second, third = _run("true", _slow(), "true")
    assert first == Outcome(verdict="true")
    assert second.verdict == third.verdict == "limits"
    assert "before this one" in third.message
    assert "before this one" not in second.message


@pytest.mark.parametrize(
    "text",
    [
        "1 / 0 == 1",
        "9223372036854775807 + 1 > 0",
        "attestations[5].signer == ''",
        "attestations[0].dataset.rows == 0",  # it has none
        "attestations[0].dataset.rows == 3 || attestations[0].dataset.rows != 3",
        "attestations.all(a, a.evaluation.metrics != [])",
        "attestations[0].evaluation.metrics[0].interval.lower >= 0.0",
        "attestations[0].evaluation.metric('f1') >= 0.0",
        "attestations[1].evaluation.metric('accuracy') >= 0.0",
        "lineage.overlap('a', 'z') == 0",
        "lineage.overlap('b', 'a') == 0",
        "lineage.overlap('a', 'c') >= 0",
        "attestations",
        "1",
        "'true'",
        "nope",
        "null",
        "(",
    ],
)
def test_errors_and_other_values_are_no_success(text: str) -> None:
    assert _one(text).verdict == "error"


def test_an_error_of_the_library_is_truthy_which_is_why_its_type_is_asked_for() -> None:
    from lamslsa.policy.cel import types

    result = types.evaluator(dict, {}).compile("1 / 0 == 1").eval(data={})
    assert bool(result.value())
    assert _one("1 / 0 == 1").message == "INVALID_ARGUMENT: divide by zero"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("attestations.exists(a, a.evaluation.metric('accuracy') >= 0.5)", "true"),
        ("attestations.exists(a, a.evaluation.metric('accuracy') >= 0.51)", "error"),  # the other one has none
        ("attestations.exists(a, has(a.evaluation) && a.evaluation.metric('accuracy') >= 0.51)", "false"),
        ("attestations.all(a, has(a.evaluation))", "false"),
        ("[].all(x, false)", "true"),
        ("attestations.filter(a, has(a.model)).all(a, false)", "true"),
        ("attestations.filter(a, has(a.model)).exists(a, true)", "false"),
        ("has(attestations[0].evaluation.metrics[0].interval)", "false"),
        ("lineage.overlap('a', 'b') == 3", "true"),
        ("lineage.overlap('a', 'b') < 3", "false"),
        ("attestations.exists(a, a.signer == params.who)", "true"),
        ("now == timestamp('2026-11-22T00:00:00Z')", "true"),
        ("now - timestamp('2026-11-01T00:00:00Z') < duration('240h')", "false"),
    ],
)
def test_what_expressions_come_to(text: str, verdict: str) -> None:
    assert _one(text, who="é").verdict == verdict


def test_both_ways_of_starting_a_worker(either_way: str) -> None:
    texts = ("model.name == 'm'", "attestations.exists(a, a.signer == 'é')", "1 / 0 == 1", "false")
    assert [item.verdict for item in _run(*texts)] == ["true", "true", "error", "false"]


def test_no_fork_beside_threads() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert not MAY_FORK()
    finally:
        done.set()
        thread.join()


def test_the_same_outcomes_each_time() -> None:
    texts = ("attestations.exists(a, a.signer == 'é')", "attestations[0].nope == 1", "model.digest.sha256 == ''")
    assert _run(*texts) == _run(*texts)


_WORK = worker.work


def _killed(data: bytes) -> Iterator[bytes]:
    """A worker that is killed after its first answer."""
    answers = _WORK(data)
    yield next(answers)
    os.kill(os.getpid(), signal.SIGKILL)


def _idle(_data: bytes) -> Iterator[bytes]:
    threading.Event().wait(30)
    yield b"never"


def _endless(_data: bytes) -> Iterator[bytes]:
    while True:
        yield bytes(60000)


def _failing(_data: bytes) -> Iterator[bytes]:
    yield from ()
    raise RuntimeError


@pytest.mark.parametrize(
    ("work", "known", "words"),
    [
        (_killed, 1, "it was killed"),
        (_idle, 0, "it took more than 0.2 s"),
        (_endless, 0, "it said more than 8192 bytes"),
        (_failing, 0, "it gave up"),
    ],
)
def test_a_worker_that_dies_or_says_too_much_leaves_refusals(
    monkeypatch: pytest.MonkeyPatch, work: Any, known: int, words: str
) -> None:
    monkeypatch.setattr(worker, "work", work)
    limits = Limits(memory_bytes=256 << 20, cpu_seconds=1, wall_seconds=0.2 if work is _idle else 10, answer_bytes=8192)
    outcomes = _run("true", "true", "true", limits=limits)
    assert [item.verdict for item in outcomes] == ["true"] * known + ["limits"] * (3 - known)
    assert words in outcomes[known].message


def test_an_answer_that_is_cut_off_does_not_count() -> None:
    whole = _confined._LENGTH.pack(3) + b"one"
    assert _confined._told(whole + _confined._LENGTH.pack(3) + b"tw", "dead").answers == (b"one",)
    assert _confined._told(whole, "dead").stopped == "dead"
    assert _confined._told(whole + _confined._LENGTH.pack(0), "dead").stopped is None


@pytest.mark.parametrize("answer", [b"", b"true", msgspec.msgpack.encode(True), msgspec.msgpack.encode(("yes", ""))])
def test_answers_that_are_no_outcomes_are_refused(answer: bytes) -> None:
    told = _confined.Answers(answers=(answer,), stopped=None)
    assert worker._outcome(told, 0).verdict == "error"


def test_no_process_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(worker, "run", fail)
    assert _one("true") == Outcome(
        verdict="limits", message="the worker stopped: no worker could be started: Resource temporarily unavailable"
    )


def test_more_to_see_than_can_be_shown_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_MAX_REQUEST_BYTES", 100)
    assert [item.verdict for item in _run("true", "true")] == ["limits", "limits"]


def test_limits_grow_with_what_is_asked() -> None:
    one, many = limits_for(10, 1), limits_for(1 << 20, 250)
    assert (one.cpu_seconds, many.cpu_seconds) == (1, 3)
    assert many.memory_bytes > one.memory_bytes
    assert many.answer_bytes > 250 * 4000


def test_large_views_fit() -> None:
    rows = [{"name": f"m{index}", "value": 0.5, "samples": index} for index in range(9000)]
    view = View(model={}, lineage={}, attestations=({"evaluation": {"metrics": rows}},), overlaps=())
    (outcome,) = _run("attestations[0].evaluation.metrics.all(m, m.value == 0.5)", view=view)
    assert outcome == Outcome(verdict="true")


def test_no_fork_and_no_python_are_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(_confined, "_may_fork", lambda: True)
    monkeypatch.setattr(os, "fork", fail)
    assert _one("true").verdict == "limits"
    monkeypatch.setattr(_confined, "_may_fork", lambda: False)
    monkeypatch.setattr(sys, "executable", None)
    assert _one("true").verdict == "limits"


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system has no files in memory")
def test_a_worker_starts_where_no_folder_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_confined, "_may_fork", lambda: False)
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    assert _one("model.name == 'm'").verdict == "true"
