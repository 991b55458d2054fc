"""What goes wrong while a service of Sigstore is asked, named by the service that failed.

Rules:
- What a service says about a refusal is shown shortened, on one line, and without anything that looks like a token.
- Whatever sigstore, requests or pydantic raise on the way is an `UnavailableError` here: a service that answers
  nonsense is one that cannot be used, and nothing of its answer counts.

>>> said("no:   Authorization: Bearer abc")
'no: Authorization: [token]'
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from lamslsa.errors import UnavailableError
from lamslsa.sign.keyless._boundary import refusing

__all__ = ["AUTHORITY", "LOG", "TIMESTAMPS", "Service", "asking", "said"]

_MAX_SAID: Final = 240
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*|(?i:bearer)\s+\S+")
_AGAIN: Final = frozenset({408, 425, 429})
_CLIENT_ERRORS: Final = range(400, 500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service that takes part, and the reasons that its failures have.

    Attributes:
        name: for people.
        refused: it answered that it will not; asking again changes nothing.
        unavailable: it did not answer, or answered that it cannot now.
        answer: its answer makes no sense.
        hint: what to do about a refusal.
    """

    name: str
    refused: str
    unavailable: str
    answer: str
    hint: str


AUTHORITY: Final = Service(
    name="certificate authority (Fulcio)",
    refused="fulcio-refused",
    unavailable="fulcio-unavailable",
    answer="fulcio-answer",
    hint="the token must be fresh, made for audience sigstore, and by an issuer that this authority accepts",
)
LOG: Final = Service(
    name="transparency log (Rekor)",
    refused="rekor-refused",
    unavailable="rekor-unavailable",
    answer="rekor-answer",
    hint="the log may bound the size of entries, or take no entries any more",
)
TIMESTAMPS: Final = Service(
    name="timestamp authority",
    refused="timestamp-refused",
    unavailable="timestamp-unavailable",
    answer="timestamp-answer",
    hint="the authority may ask for an account, or for another hash",
)


@contextmanager
def asking(service: Service) -> Iterator[None]:
    """Translate what goes wrong while a service is asked.

    Raises:
        UnavailableError: it did.
    """
    with refusing(functools.partial(_refusal, service)):
        yield


def said(text: str) -> str:
    """What somebody else says, shortened, on one line and free of tokens."""
    line = _TOKEN.sub("[token]", " ".join(text.split()))
    return line if len(line) <= _MAX_SAID else line[:_MAX_SAID] + "…"


def _refusal(service: Service, err: BaseException) -> UnavailableError:
    response = _response(err)
    if response is not None:
        status, text = response
        message = f"expected an answer of the {service.name}, got status {status}: {said(text)}".rstrip(": ")
        if status in _CLIENT_ERRORS and status not in _AGAIN:
            return UnavailableError(message, reason=service.refused, hint=service.hint)
        return UnavailableError(message, reason=service.unavailable, hint="try again; what is stored is not repeated")
    links = list(_causes(err))  # every error of requests is an OSError, also that an answer is no JSON
    if any(isinstance(link, OSError) for link in links) and not any(isinstance(link, ValueError) for link in links):
        return UnavailableError(
            f"expected the {service.name} to answer, got {type(err).__name__}",
            reason=service.unavailable,
            hint="look at the network and the addresses of the trust configuration, then try again",
        )
    return UnavailableError(
        f"expected an answer of the {service.name} that can be read, got {type(err).__name__}", reason=service.answer
    )


def _causes(err: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = err
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _response(err: BaseException) -> tuple[int, str] | None:
    """Status and text of the answer that an error is about; `FulcioClientError` has them in its cause alone."""
    for link in _causes(err):
        response = getattr(link, "response", None)
        if response is not None:
            return int(response.status_code), _message(response.text)
    return None


def _message(text: str) -> str:
    try:
        value = json.loads(text[:65536])
    except ValueError:
        return text
    message = value.get("message") if isinstance(value, dict) else None
    return message if isinstance(message, str) else text
