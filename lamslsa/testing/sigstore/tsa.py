"""A timestamp authority (RFC 3161) under a root of its own."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from lamslsa.testing.sigstore._http import RefusedError, Reply, Request, Route
from lamslsa.testing.sigstore._pki import make_root
from lamslsa.testing.sigstore.clock import Clock
from lamslsa.testing.sigstore.faults import Faults
from lamslsa.testing.timestamps import refused_response, timestamp_info, timestamp_response

__all__ = ["PATH", "TimestampAuthority"]

PATH: Final = "/api/v1/timestamp"
_ALGORITHMS: Final = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.3": "sha512",
}


class TimestampAuthority:
    """Stamps digests of SHA-256 and SHA-512.

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
            RefusedError: not a request over such a digest.
            ValueError: not a request.
        """
        from rfc3161_client._rust import parse_timestamp_request  # the package has no public reader of requests

        parsed = parse_timestamp_request(query)
        imprint, algorithm = parsed.message_imprint.message, parsed.message_imprint.hash_algorithm.dotted_string
        if algorithm not in _ALGORITHMS or len(imprint) != hashlib.new(_ALGORITHMS[algorithm]).digest_size:
            raise RefusedError(f"expected a digest of SHA-256 or SHA-512, got one of {algorithm}")
        if self._faults.lies("timestamp-refused"):
            return refused_response()
        if self._faults.lies("timestamp-other-data"):
            imprint = hashlib.new(_ALGORITHMS[algorithm], imprint).digest()
        nonce = parsed.nonce
        if nonce is not None and self._faults.lies("timestamp-other-nonce"):
            nonce += 1
        authority = self._foreign if self._faults.lies("timestamp-foreign") else self._authority
        info = timestamp_info(self.clock.now(), imprint, serial=secrets.randbits(64), nonce=nonce)
        return timestamp_response(info, authority.key, authority.certificate)
