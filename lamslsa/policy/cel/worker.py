"""Evaluation in a worker: every expression of an appraisal, one after the other, within limits of time and memory.

Rules:
- Nothing but the value ``true`` of type bool is a success. Errors come back as values, which are truthy.
- An expression that takes the worker down is refused, and so is every one after it, as it was not evaluated.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, assert_never

import msgspec
from msgspec import Struct

from lamslsa._confined import Answers, Limits, run
from lamslsa.policy.cel import types

__all__ = ["Check", "Outcome", "View", "evaluate", "limits_for", "work"]

_MEMORY_BYTES: Final = 256 << 20
_COPIES: Final = 24  # of what expressions see, as Python values and as those of the library
_MAX_REQUEST_BYTES: Final = 64 << 20
_SECONDS: Final = 1
_CHECKS_A_SECOND: Final = 100
_WALL_SECONDS: Final = 10.0
_ANSWER_BYTES: Final = 4096
_MESSAGE: Final = 300

Verdict = Literal["true", "false", "error", "limits"]


class View(Struct, frozen=True, kw_only=True):
    """What an expression sees.

    Attributes:
        overlaps: (training dataset, dataset, rows or why there is no such number).
    """

    model: dict[str, Any]
    lineage: dict[str, Any]
    attestations: tuple[dict[str, Any], ...]
    overlaps: tuple[tuple[str, str, int | str], ...]


class Check(Struct, frozen=True, kw_only=True):
    """An expression to evaluate.

    Attributes:
        view: index of what it sees.
    """

    text: str
    view: int
    parameters: dict[str, str | int | float | bool]


class _Request(Struct, frozen=True, kw_only=True):
    now: str
    views: tuple[View, ...]
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an expression came to.

    Attributes:
        message: why it is an error, or what stopped it.
    """

    verdict: Verdict
    message: str = ""


def limits_for(request_bytes: int, checks: int) -> Limits:
    """What a worker may use: 256 MiB beside what expressions see, and a second, with one more for each hundred."""
    seconds = _SECONDS + checks // _CHECKS_A_SECOND
    return Limits(
        memory_bytes=_MEMORY_BYTES + _COPIES * request_bytes,
        cpu_seconds=seconds,
        wall_seconds=_WALL_SECONDS * seconds,
        answer_bytes=(checks + 1) * _ANSWER_BYTES,
    )


def evaluate(
    views: Sequence[View], checks: Sequence[Check], *, now: dt.datetime, limits: Limits | None = None
) -> tuple[Outcome, ...]:
    """One outcome for each check, in their order.

    Args:
        views: what expressions see.
        checks: the expressions.
        now: timezone-aware; what expressions see as ``now``.
        limits: those of `limits_for` without it.

    Raises:
        UnavailableError: cel-expr-python is not installed.
    """
    types.evaluator(dict, {})  # what is missing is said here, and a forked worker finds it loaded
    request = msgspec.msgpack.encode(_Request(now=now.isoformat(), views=tuple(views), checks=tuple(checks)))
    if len(request) > _MAX_REQUEST_BYTES:
        why = f"it would see {len(request)} bytes, more than {_MAX_REQUEST_BYTES}"
        return tuple(Outcome(verdict="limits", message=why) for _ in checks)
    try:
        told = run(work, request, limits or limits_for(len(request), len(checks)))
    except OSError as err:
        told = Answers(answers=(), stopped=f"no worker could be started: {err.strerror}")
    return tuple(_outcome(told, index) for index in range(len(checks)))


def _outcome(told: Answers, index: int) -> Outcome:
    if index >= len(told.answers):
        why = told.stopped or "the worker said nothing"
        if index > len(told.answers):
            return Outcome(verdict="limits", message=f"the worker stopped at an expression before this one: {why}")
        return Outcome(verdict="limits", message=f"the worker stopped: {why}")
    try:
        verdict, message = msgspec.msgpack.decode(told.answers[index], type=tuple[Verdict, str])
    except msgspec.MsgspecError:
        return Outcome(verdict="error", message="the worker said something else than an outcome")
    match verdict:
        case "true" | "false":
            return Outcome(verdict=verdict)
        case "error" | "limits":
            return Outcome(verdict=verdict, message=message[:_MESSAGE])
        case _:
            assert_never(verdict)


def work(data: bytes) -> Iterator[bytes]:
    """In the worker: one answer for each check."""
    request = msgspec.msgpack.decode(data, type=_Request)
    now = dt.datetime.fromisoformat(request.now)
    overlaps = [{(train, other): found for train, other, found in view.overlaps} for view in request.views]
    for check in request.checks:
        view = request.views[check.view]
        known = overlaps[check.view]
        values = {
            "model": view.model,
            "lineage": view.lineage,
            "attestations": list(view.attestations),
            "now": now,
            **{f"params.{name}": value for name, value in check.parameters.items()},
        }
        verdict, message = _evaluated(check, known, values)
        yield msgspec.msgpack.encode((verdict, message.encode("utf-8", "replace").decode()[:_MESSAGE]))


def _evaluated(check: Check, overlaps: types.Overlaps, values: dict[str, Any]) -> tuple[Verdict, str]:
    environment = types.evaluator(lambda: overlaps, check.parameters)
    try:
        result = environment.compile(check.text).eval(data=values)
        name, value = result.type().name(), result.value()
    except MemoryError:
        return "limits", "it needs more memory than it may have"
    except (RuntimeError, ValueError, TypeError) as err:
        return "error", str(err)
    if name == "BOOL":
        return ("true", "") if value is True else ("false", "")
    if name == "ERROR":
        return "error", str(value)
    return "error", f"it gave a value of type {name.lower()}"
