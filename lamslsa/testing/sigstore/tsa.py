"""A timestamp authority (RFC 3161) under a root of its own."""

from __future__ import annotations

import hashlib
import secrets

from lamslsa.testing.sigstore._http import RefusedError, Reply, Request, Route
from lamslsa.testing.sigstore._pki import make_root
from lamslsa.testing.sigstore.clock import Clock
from lamslsa.testing.sigstore.faults import Faults
from lamslsa.testing.timestamps import refused_response, timestamp_info, timestamp_response

__all__ = ["PATH", "TimestampAuthority"]

PATH = "/api/v1/timestamp"


class TimestampAuthority:
    """Stamps digests (SHA-256).

    Args:
        faults: what goes wrong.
        clock: the time that it states.
    """

    def __init__(self, faults: Faults, clock: Clock) -> None:
        self.clock = clock
        self._faults = faults
        root = make_root("tsa-root", now=clock.now())
        self._authority = root.below("tsa", path_length=None, now=clock.now())
        self._foreign = make_root("tsa-root", now=clock.now()).below("tsa", path_length=None, now=clock.now())
        self.chain = (self._authority.certificate, root.certificate)

    @property
    def routes(self) -> tuple[Route, ...]:
        """What it answers."""
        return (Route(endpoint="tsa", method="POST", path=PATH, answer=self._answer),)

    def _answer(self, request: Request) -> Reply:
        return Reply(status=201, body=self.stamp(request.body), media_type="application/timestamp-reply")

    def stamp(self, query: bytes) -> bytes:
        """The response to a request (TimeStampReq, DER).

        Raises:
            RefusedError: not a request over a SHA-256 digest.
        """
        from rfc3161_client._rust import parse_timestamp_request  # the package has no public reader of requests

        parsed = parse_timestamp_request(query)
        imprint = parsed.message_imprint.message
        if len(imprint) != hashlib.sha256().digest_size:
            raise RefusedError("expected a digest of SHA-256")
        if self._faults.lies("timestamp-refused"):
            return refused_response()
        if self._faults.lies("timestamp-other-data"):
            imprint = hashlib.sha256(imprint).digest()
        nonce = parsed.nonce
        if nonce is not None and self._faults.lies("timestamp-other-nonce"):
            nonce += 1
        authority = self._foreign if self._faults.lies("timestamp-foreign") else self._authority
        info = timestamp_info(self.clock.now(), imprint, serial=secrets.randbits(64), nonce=nonce)
        return timestamp_response(info, authority.key, authority.certificate)
