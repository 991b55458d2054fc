"""A whole Sigstore on loopback: OIDC issuer, Fulcio with CT log, Rekor v1 and v2, timestamp authority, TUF repository.

For tests and demonstrations; **not for production**: keys live in memory, and anybody gets a token. Formats and
cryptography are real, and every service can fail, lie, or disagree about the time. It needs what ``sigstore``
installs, and not ``sigstore`` itself.

>>> with LocalSigstore() as sigstore:
...     config = json.loads(sigstore.trust_config_json(rekor=2))
...     token = sigstore.token(email="someone@example.test")
>>> config["signingConfig"]["rekorTlogUrls"][0]["majorApiVersion"]
2

``python -m lamslsa.testing.sigstore --out DIR`` runs one for other programs.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec

from lamslsa.testing.sigstore import trust, tuf
from lamslsa.testing.sigstore._http import RefusedError
from lamslsa.testing.sigstore.clock import Clock, wall_clock
from lamslsa.testing.sigstore.faults import ENDPOINTS, LIES, Endpoint, Failure, Faults, Lie
from lamslsa.testing.sigstore.fulcio import CertificateAuthority, TransparencyLog
from lamslsa.testing.sigstore.oidc import AUDIENCE, SUBJECT, Issuer, github_claims
from lamslsa.testing.sigstore.rekor import RekorV1, RekorV2
from lamslsa.testing.sigstore.server import Server
from lamslsa.testing.sigstore.tsa import TimestampAuthority

__all__ = [
    "AUDIENCE",
    "ENDPOINTS",
    "LIES",
    "SUBJECT",
    "Clock",
    "Endpoint",
    "Failure",
    "Faults",
    "Issuer",
    "Lie",
    "LocalSigstore",
    "RefusedError",
    "Rekor",
    "github_claims",
]

Rekor: TypeAlias = Literal[1, 2]
"""A version of Rekor."""


class LocalSigstore:
    """A Sigstore of its own: another instance shares no key with it.

    To be used in a ``with`` statement: its port is bound at once, answers inside, and is released after it.

    Args:
        port: any that is free, where 0.
        certificate_lifetime: of what Fulcio issues.
        clock: the time; each service's own clock starts with it.

    Attributes:
        url: of every service.
        faults: lets services fail and lie.
        oidc, fulcio, rekor1, rekor2, tsa, tuf: the services. All but rekor2 have a ``clock`` whose ``offset`` can be
            set; ``fulcio.log`` is the CT log, and ``fulcio.lifetime`` can be set too.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        certificate_lifetime: dt.timedelta = dt.timedelta(minutes=10),
        clock: Callable[[], dt.datetime] = wall_clock,
    ) -> None:
        self.faults = Faults()
        self._started = clock()
        self._lifetime = certificate_lifetime
        self._server = Server(self.faults, port=port)
        self.url = self._server.url
        self.oidc = Issuer(f"{self.url}/oauth2", self.faults, Clock(clock))
        log = TransparencyLog(Clock(clock))
        self.fulcio = CertificateAuthority(self.oidc, self.faults, Clock(clock), log, lifetime=certificate_lifetime)
        self.rekor1 = RekorV1(self.faults, Clock(clock))
        self.rekor2 = RekorV2(self.faults)
        self.tsa = TimestampAuthority(self.faults, Clock(clock))
        self.tuf = tuf.Repository(Clock(clock))

    def __enter__(self) -> Self:
        services = (self.oidc, self.fulcio, self.rekor1, self.rekor2, self.tsa, self.tuf)
        self._server.start([route for service in services for route in service.routes])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()

    def reset(self) -> None:
        """Nothing fails or lies any more, all clocks show the time, and certificates live as long as at first."""
        self.faults.clear()
        self.fulcio.lifetime = self._lifetime
        for service in (self.oidc, self.fulcio, self.fulcio.log, self.rekor1, self.tsa, self.tuf):
            service.clock.offset = dt.timedelta(0)

    @property
    def issuer(self) -> str:
        """URL of the OIDC issuer, which certificates name."""
        return self.oidc.url

    @property
    def tuf_url(self) -> str:
        """URL of the TUF repository, empty before `make_tuf`."""
        return f"{self.url}{tuf.PATH}"

    def token(
        self,
        subject: str = SUBJECT,
        *,
        email: str | None = None,
        audience: str = AUDIENCE,
        issuer: str | None = None,
        lifetime: dt.timedelta = dt.timedelta(minutes=10),
        key: ec.EllipticCurvePrivateKey | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> str:
        """An identity token; for the arguments see `Issuer.token`.

        ``claims=github_claims("acme/model")`` makes it one of a job of GitHub Actions.
        """
        return self.oidc.token(
            subject, email=email, audience=audience, issuer=issuer, lifetime=lifetime, key=key, claims=claims
        )

    def github_environment(self, claims: Mapping[str, Any] | None = None) -> dict[str, str]:
        """Environment variables of a job of GitHub Actions with these claims, those of `github_claims` where None."""
        return self.oidc.job(github_claims() if claims is None else claims)

    def trusted_root(self) -> dict[str, Any]:
        """The ``TrustedRoot``: every key and certificate."""
        return trust.trusted_root(
            self.url, self._started, fulcio=self.fulcio, rekor1=self.rekor1, rekor2=self.rekor2, tsa=self.tsa
        )

    def trusted_root_json(self) -> str:
        """The same as one line of JSON, as ``gh attestation verify --custom-trusted-root`` reads it."""
        return json.dumps(self.trusted_root()) + "\n"

    def signing_config(self, rekor: Rekor = 1, *, tsa: bool = True) -> dict[str, Any]:
        """The ``SigningConfig``: where to sign, log, and have timestamps made."""
        return trust.signing_config(self.url, self.issuer, self._started, rekor=rekor, tsa=tsa)

    def trust_config_json(self, rekor: Rekor = 1, *, tsa: bool = True) -> str:
        """The ``ClientTrustConfig``: both of them."""
        return json.dumps(trust.client_trust_config(self.trusted_root(), self.signing_config(rekor, tsa=tsa)))

    def make_tuf(self, rekor: Rekor = 1, *, tsa: bool = True) -> bytes:
        """Publish both of them at `tuf_url`; returns root.json, which clients start from."""
        return self.tuf.publish(
            {
                "trusted_root.json": self.trusted_root_json().encode(),
                "signing_config.v0.2.json": json.dumps(self.signing_config(rekor, tsa=tsa)).encode(),
            }
        )
