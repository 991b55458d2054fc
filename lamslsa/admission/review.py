"""AdmissionReview of Kubernetes (``admission.k8s.io/v1``): what is asked, which models it is about, and the answer.

Rules:
- What the API server writes is read strictly, and something else raises. What a user writes into the object never
  raises: it is refused in the answer, so that no ``failurePolicy`` lets it pass.
- Kinds that are not known here are refused. Deleting brings nothing and is admitted.
- An update is admitted where it starts nothing: of a Pod as `lamslsa.admission.updates` says, or of an object that is
  being deleted and keeps its spec. A lapsed verdict must not keep anybody from cleaning up.

Spec: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#webhook-request-and-response
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from lamslsa import _codec
from lamslsa._plain import plain
from lamslsa.admission.references import Found, pod_models, service_models, template_models
from lamslsa.admission.shapes import members, quoted, text
from lamslsa.admission.updates import starts_nothing
from lamslsa.errors import FormatError, LamslsaError, PolicyError

__all__ = ["MAX_REVIEW_BYTES", "Review", "answer", "parse"]

MAX_REVIEW_BYTES: Final = 8 * 1024 * 1024
_MAX_MODELS: Final = 64
_MAX_MESSAGE: Final = 4096
_API: Final = "admission.k8s.io/v1"
_KIND: Final = "AdmissionReview"
_TEMPLATES: Final = frozenset(
    {
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("apps", "DaemonSet"),
        ("apps", "ReplicaSet"),
        ("batch", "Job"),
        ("", "ReplicationController"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One request of the API server.

    Attributes:
        uid: that the answer has to repeat.
        kind: group and kind of the object.
        name: namespace and name of the object, for logs; a label.
        found: the places with models.
        refused: why the object is refused before any model is judged; None where it is not.
        starts_nothing: whether the request can be admitted without a verdict.
        pod: the spec of a Pod that is made or changed; None of other kinds.
    """

    uid: str
    kind: tuple[str, str]
    operation: str
    name: str
    found: tuple[Found, ...] = ()
    refused: LamslsaError | None = field(default=None, compare=False)
    starts_nothing: bool = False
    pod: Mapping[str, Any] | None = field(default=None, compare=False)


def parse(data: bytes) -> Review:
    """Read a review.

    Raises:
        FormatError: the bytes are no review (admission-review, admission-shape), too many, or no strict JSON.
    """
    document = _codec.loads(data, max_bytes=MAX_REVIEW_BYTES)
    if not isinstance(document, dict) or (document.get("apiVersion"), document.get("kind")) != (_API, _KIND):
        raise FormatError(
            f"expected {_KIND} of {_API}, got something else",
            reason="admission-review",
            hint='write admissionReviewVersions: ["v1"] in the webhook',
        )
    request = members(document, "request", "")
    uid, operation = text(request, "uid", "request."), text(request, "operation", "request.")
    gvk = members(request, "kind", "request.")
    kind = text(gvk, "group", "request.kind."), text(gvk, "kind", "request.kind.")
    if not (uid and operation and kind[1]):
        raise FormatError("expected a request with uid, kind and operation, got none", reason="admission-review")
    name = "/".join(
        part for part in (text(request, "namespace", "request."), text(request, "name", "request.")) if part
    )
    known = Review(uid=uid, kind=kind, operation=operation, name=plain(name))
    if operation == "DELETE":
        return replace(known, starts_nothing=True)
    if operation not in {"CREATE", "UPDATE"}:
        return replace(
            known,
            refused=PolicyError(
                f"expected to be asked about CREATE and UPDATE, got {quoted(operation)}",
                reason="admission-operation",
                hint="leave it out of the rules of the webhook",
            ),
        )
    new = members(request, "object", "request.")
    if not new:
        raise FormatError("expected an object in the request, got none", reason="admission-review")
    try:
        found = _models(kind, new)
        same = operation == "UPDATE" and _same(kind, new, members(request, "oldObject", "request."))
    except LamslsaError as err:
        return replace(known, refused=err)
    pod = members(new, "spec", "") if kind == ("", "Pod") else None
    return replace(known, found=found, starts_nothing=same, pod=pod)


def _models(kind: tuple[str, str], value: Mapping[str, Any]) -> tuple[Found, ...]:
    found: list[Found] = []
    for item in _listed(kind, value):
        found.append(item)
        if len(found) > _MAX_MODELS:
            raise PolicyError(
                f"expected at most {_MAX_MODELS} models in one object, got more", reason="admission-models"
            )
    return tuple(found)


def _listed(kind: tuple[str, str], value: Mapping[str, Any]) -> Iterator[Found]:
    spec = members(value, "spec", "")
    if kind == ("", "Pod"):
        yield from pod_models(spec, "spec.")
    elif kind in _TEMPLATES:
        yield from template_models(spec, "spec.")
    elif kind == ("batch", "CronJob"):
        job = members(members(spec, "jobTemplate", "spec."), "spec", "spec.jobTemplate.")
        yield from template_models(job, "spec.jobTemplate.spec.")
    elif kind == ("serving.kserve.io", "InferenceService"):
        yield from service_models(spec)
    else:
        raise PolicyError(
            f"expected a kind whose models are known, got {quoted('/'.join(part for part in kind if part))}",
            reason="admission-kind",
            hint="Pods are judged whatever makes them: leave other kinds out of the rules of the webhook",
        )


def _same(kind: tuple[str, str], new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Whether an update leaves everything as it is that could bring another model, and starts nothing."""
    before, after = members(old, "spec", ""), members(new, "spec", "")
    if kind == ("", "Pod"):
        return starts_nothing(before, after)
    return bool(text(members(new, "metadata", ""), "deletionTimestamp", "metadata.")) and before == after


def answer(review: Review, refusals: Sequence[tuple[str, str]], *, policy: str) -> dict[str, Any]:
    """The AdmissionReview that goes back.

    Args:
        review: what was asked.
        refusals: place and reason, in words; none where the object is admitted.
        policy: the digest that the verdict was reached under, for the audit log.
    """
    models = [str(item.model) for item in review.found if not isinstance(item.model, LamslsaError)]
    response: dict[str, Any] = {
        "uid": review.uid,
        "allowed": not refusals,
        "auditAnnotations": {
            "models": ",".join(models)[:_MAX_MESSAGE],
            "policy": policy,
            "judged": "no" if review.starts_nothing else "yes",
        },
    }
    if refusals:
        said = "; ".join(f"{where}: {message}" if where else message for where, message in refusals)
        response["status"] = {
            "code": 403,
            "reason": "Forbidden",
            "message": said if len(said) <= _MAX_MESSAGE else f"{said[:_MAX_MESSAGE]}…",
        }
    return {"apiVersion": _API, "kind": _KIND, "response": response}
