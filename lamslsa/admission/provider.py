"""External data of Gatekeeper (``externaldata.gatekeeper.sh``): keys are references, values say what accepts them.

Rules:
- At most 1,000 keys; one that is there twice is answered once.
- A key that is refused has an ``error`` and no ``value``: a constraint that reads values alone admits nothing by it.

Spec: https://open-policy-agent.github.io/gatekeeper/website/docs/externaldata
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lamslsa import _codec
from lamslsa.admission.references import Found, pinned
from lamslsa.admission.shapes import members, texts
from lamslsa.errors import FormatError, LamslsaError

__all__ = ["MAX_KEYS", "ProviderRequest", "answer", "parse"]

MAX_KEYS: Final = 1000
_MAX_BYTES: Final = 2 * 1024 * 1024
_APIS: Final = ("externaldata.gatekeeper.sh/v1beta1", "externaldata.gatekeeper.sh/v1alpha1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRequest:
    """What Gatekeeper asks about.

    Attributes:
        api: the version, which the answer repeats.
        found: each key once, in order.
    """

    api: str
    found: tuple[Found, ...]


def parse(data: bytes) -> ProviderRequest:
    """Read a request.

    Raises:
        FormatError: the bytes are none (admission-provider, admission-shape), too many, or no strict JSON.
    """
    document = _codec.loads(data, max_bytes=_MAX_BYTES)
    if (
        not isinstance(document, dict)
        or document.get("kind") != "ProviderRequest"
        or document.get("apiVersion") not in _APIS
    ):
        raise FormatError(f"expected ProviderRequest of {_APIS[0]}, got something else", reason="admission-provider")
    keys = texts(members(document, "request", ""), "keys", "request.", limit=MAX_KEYS)
    return ProviderRequest(api=document["apiVersion"], found=tuple(_found(key) for key in dict.fromkeys(keys)))


def _found(key: str) -> Found:
    try:
        return Found(where=key, model=pinned(key))
    except LamslsaError as err:
        return Found(where=key, model=err)


def answer(request: ProviderRequest, refusals: Mapping[str, str], *, policy: str) -> dict[str, Any]:
    """The ProviderResponse that goes back.

    Args:
        request: what was asked.
        refusals: by key, why it is refused.
        policy: the digest that the verdicts were reached under.
    """
    items: list[dict[str, Any]] = []
    for item in request.found:
        if item.where in refusals:
            items.append({"key": item.where, "error": refusals[item.where]})
        else:
            items.append({"key": item.where, "value": {"model": str(item.model), "policy": policy}})
    return {
        "apiVersion": request.api,
        "kind": "ProviderResponse",
        "response": {"idempotent": True, "items": items, "systemError": ""},
    }
