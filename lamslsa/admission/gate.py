"""What is answered to whom: reviews of the API server, requests of Gatekeeper, probes, and who reads metrics.

Rules:
- Every answer comes within the budget. What is not known by then is refused, and goes on being found out for the next
  who asks.
- A request that is no review is answered with 400; everything that is one is answered with 200 and a verdict.
- The log has a line of JSON for each decision, and nothing of an object but its name and its models.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Final

from lamslsa import _codec
from lamslsa.admission import mutation, provider, review
from lamslsa.admission.appraiser import Appraiser
from lamslsa.admission.guard import refuse_unguarded, unverified
from lamslsa.admission.http import Request, Response
from lamslsa.admission.metrics import CONTENT_TYPE, Metrics
from lamslsa.admission.references import Found
from lamslsa.admission.verdicts import Verdict
from lamslsa.admission.verifier import Held, Verifier
from lamslsa.errors import FormatError, LamslsaError, UnavailableError

__all__ = ["Gate", "Log"]

Log = Callable[[str, Mapping[str, Any]], None]
"""Takes the name of an event, and what there is to know of it."""

_SECONDS: Final = re.compile(r"(?:^|&)timeout=([0-9]{1,3})s(?:&|$)")
_SHARE: Final = 0.9
_LARGE: Final = 64 * 1024
_REFUSED: Final = "lamslsa_admission_refusals_total"


class Gate:
    """Answers requests.

    Args:
        appraiser: who knows or finds out verdicts.
        held: the policy of the moment, and who verifies in Pods.
        ready: why no requests should come, in words; empty where they should.
        log: told of each decision.
        metrics: counts them.
        budget_s: how long an answer may take, where the API server gives no less, in seconds.
    """

    def __init__(
        self,
        appraiser: Appraiser,
        *,
        held: Callable[[], Held],
        ready: Callable[[], str],
        log: Log,
        metrics: Metrics,
        budget_s: float = 8.0,
    ) -> None:
        self._appraiser = appraiser
        self._held = held
        self._ready = ready
        self._log = log
        self._metrics = metrics
        self._budget_s = budget_s
        metrics.gauge("lamslsa_admission_waiting", lambda: float(appraiser.waiting))

    async def respond(self, request: Request) -> Response:
        """The answer to a request."""
        started = time.monotonic()
        posts = {"/admit": self._admit, "/mutate": self._mutate, "/validate": self._validate}
        gets = {"/healthz": self._health, "/readyz": self._readiness, "/metrics": self._numbers}
        if request.path in gets:
            return gets[request.path]() if request.method in {"GET", "HEAD"} else Response.line(405, "expected GET")
        if request.path not in posts:
            return Response.line(404, "expected /admit, /mutate, /validate, /healthz, /readyz or /metrics")
        if request.method != "POST":
            return Response.line(405, "expected POST")
        try:
            response = await posts[request.path](request, started)
        except FormatError as err:
            self.troubled(err.reason, str(err), path=request.path)
            response = Response.line(400, f"{err} [{err.reason}]")
        self._metrics.took(time.monotonic() - started)
        self._metrics.count("lamslsa_admission_requests_total", path=request.path, code=str(response.status))
        return response

    def troubled(self, reason: str, message: str, *, path: str = "") -> None:
        """Log and count a request that is none, wherever that was found out."""
        self._log("malformed", {"path": path, "reason": reason, "message": message})
        self._metrics.count(_REFUSED, reason=reason)

    async def _admit(self, request: Request, started: float) -> Response:
        asked = await _beside(request.body, review.parse, request.body)
        refusals: list[tuple[str, str]] = []
        reasons: list[str] = []
        held = self._held()
        closure = held.policy.closure
        if asked.refused is not None:
            told = Verdict.refused(asked.refused)
            refusals, reasons = [("", told.message)], [told.reason]
        elif not asked.starts_nothing:
            found = asked.found if held.verifier is None else tuple(item for item in asked.found if not item.in_pod)
            verdicts = await self._verdicts(found, started, self._budget(request.query))
            refused = [(item.where, told) for item, told in zip(found, verdicts, strict=True) if not told.accepted]
            refused += [("spec", told) for told in await _beside(request.body, _unguarded, asked, held)]
            refusals = [(where, told.message) for where, told in refused]
            reasons = [told.reason for _, told in refused]
        self._decided(reasons, _about(asked, f"sha256:{closure}"), started)
        return _json(review.answer(asked, refusals, policy=f"sha256:{closure}"))

    async def _mutate(self, request: Request, started: float) -> Response:
        asked = await _beside(request.body, review.parse, request.body)
        held = self._held()
        policy = f"sha256:{held.policy.closure}"
        try:
            operations = await _beside(request.body, mutation.mutated, asked, held)
        except LamslsaError as err:
            told = Verdict.refused(err)
            self._decided([told.reason], _about(asked, policy), started)
            return _json(review.answer(asked, [("spec", told.message)], policy=policy))
        if operations:
            self._log("patched", _about(asked, policy))
            self._metrics.count("lamslsa_admission_patches_total")
        return _json(mutation.answer_patch(asked, operations, policy=policy))

    async def _validate(self, request: Request, started: float) -> Response:
        asked = await _beside(request.body, provider.parse, request.body)
        closure = self._held().policy.closure
        verdicts = await self._verdicts(asked.found, started, self._budget(request.query))
        refused = {item.where: told for item, told in zip(asked.found, verdicts, strict=True) if not told.accepted}
        self._decided(
            [told.reason for told in refused.values()],
            {"keys": len(asked.found), "refused": len(refused), "policy": f"sha256:{closure}"},
            started,
        )
        messages = {key: told.message for key, told in refused.items()}
        return _json(provider.answer(asked, messages, policy=f"sha256:{closure}"))

    async def _verdicts(self, found: Sequence[Found], started: float, budget_s: float) -> list[Verdict]:
        """A verdict for each place, so many seconds after a time of the monotonic clock."""
        told = [
            Verdict.refused(item.model) if isinstance(item.model, LamslsaError) else self._appraiser.ask(item.model)
            for item in found
        ]
        promises = {id(each): asyncio.wrap_future(each) for each in told if isinstance(each, Future)}
        if promises:
            await asyncio.wait(promises.values(), timeout=max(0.0, started + budget_s - time.monotonic()))
        return [each if isinstance(each, Verdict) else _kept(promises[id(each)], budget_s) for each in told]

    def _budget(self, query: str) -> float:
        """What the API server says in its address (``?timeout=10s``), less what the way back takes."""
        asked = _SECONDS.search(query)
        return min(self._budget_s, _SHARE * int(asked[1])) if asked else self._budget_s

    def _decided(self, reasons: Sequence[str], about: Mapping[str, Any], started: float) -> None:
        seconds = round(time.monotonic() - started, 6)
        self._log("decision", {"allowed": not reasons, "reasons": sorted(set(reasons)), **about, "seconds": seconds})
        self._metrics.count("lamslsa_admission_decisions_total", allowed="false" if reasons else "true")
        for reason in set(reasons):
            self._metrics.count(_REFUSED, reason=reason)

    def _health(self) -> Response:
        return Response.line(200, "ok")

    def _readiness(self) -> Response:
        why = self._ready()
        return Response.line(503, why) if why else Response.line(200, "ok")

    def _numbers(self) -> Response:
        return Response(body=self._metrics.render().encode(), content_type=CONTENT_TYPE)


def _kept(promise: asyncio.Future[Verdict], budget_s: float) -> Verdict:
    if promise.done():
        return promise.result()
    return Verdict.refused(
        UnavailableError(
            f"expected a verdict within the {budget_s:g} seconds of this request, got none yet",
            reason="admission-budget",
            hint="try again: it is being found out",
        )
    )


async def _beside(body: bytes, work: Callable[..., Any], *arguments: Any) -> Any:
    """What work on a body comes to; on a large one it is done beside, so that others are answered meanwhile."""
    return work(*arguments) if len(body) <= _LARGE else await asyncio.to_thread(work, *arguments)


def _unguarded(asked: review.Review, held: Held) -> Sequence[Verdict]:
    """Why a Pod whose models are to be verified in it may not start; nothing where it may."""
    if asked.pod is None or held.verifier is None:
        return ()
    try:
        if isinstance(held.verifier, Verifier):
            refuse_unguarded(asked.pod, held.verifier)
        elif unverified(asked.pod):
            return (Verdict.refused(held.verifier),)
    except LamslsaError as err:
        return (Verdict.refused(err),)
    return ()


def _about(asked: review.Review, policy: str) -> dict[str, Any]:
    return {
        "uid": asked.uid,
        "kind": "/".join(part for part in asked.kind if part),
        "operation": asked.operation,
        "object": asked.name,
        "models": _models(asked.found),
        "policy": policy,
    }


def _models(found: Sequence[Found]) -> list[str]:
    return [str(item.model) for item in found if not isinstance(item.model, LamslsaError)]


def _json(document: Mapping[str, Any]) -> Response:
    return Response(body=_codec.dumps(document))
