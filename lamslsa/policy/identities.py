"""Who may sign: identities of a policy, the keys and certificates that speak for them, and when each of them does.

Rules:
- An identity may hold several credentials, for rotation; a signature of any one of them is the identity's. Where a
  certificate meets several, one that was revoked decides, whatever else it meets; of the others any one is enough.
- ``validFrom``, ``validUntil`` and ``revokedAt`` are judged at the earliest trusted time of the signature, never at a
  time that its signer wrote. A trusted time is an upper bound: whoever holds a key that ended can still sign, but
  cannot have a timestamp from before. So a credential with an end counts only for signatures with a trusted time.
- ``validFrom`` needs a trusted time as well. It keeps out signatures that are known to be older than the credential,
  not one that was made before and dated only later: an upper bound cannot say so.
- ``requireTimestamp`` and ``requireLog`` hold for every credential of the identity.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence.appraise import Refusal
from lamslsa.sign.interface import BundleVerifier, Envelope, Signature, most_telling

__all__ = ["Credential", "Identity", "IdentitySignature"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A key, or an identity in certificates, and when it speaks for its owner.

    Attributes:
        valid_until: signatures from then on do not count.
        revoked_at: the same, for a key that was lost.
    """

    verifier: BundleVerifier
    valid_from: dt.datetime | None = None
    valid_until: dt.datetime | None = None
    revoked_at: dt.datetime | None = None

    @property
    def end(self) -> dt.datetime | None:
        """From when on it does not count, for either reason."""
        return min((time for time in (self.valid_until, self.revoked_at) if time is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentitySignature(Signature):
    """A signature, and the credentials that it meets: one key, or the terms of several on one certificate."""

    credentials: tuple[Credential, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who may sign, under one name of the policy.

    Attributes:
        require_timestamp: signatures count only with an RFC 3161 timestamp of the trusted root.
        require_log: signatures count only when a transparency log of the trusted root includes them.
    """

    credentials: tuple[Credential, ...]
    require_timestamp: bool = False
    require_log: bool = False

    def verify(self, envelope: Envelope) -> IdentitySignature:
        """Who signed the envelope, and with which credentials.

        Raises:
            VerificationError: none of the credentials.
        """
        found: list[tuple[Credential, Signature]] = []
        errors: list[FormatError | VerificationError] = []
        for credential in self.credentials:
            try:
                found.append((credential, credential.verifier.verify(envelope)))
            except (FormatError, VerificationError) as err:
                errors.append(err)
        if not found:
            raise most_telling(errors)
        signature = found[0][1]
        return IdentitySignature(
            signer=signature.signer,
            key_id=signature.key_id,
            key_sha256=signature.key_sha256,
            witnessed=signature.witnessed,
            credentials=tuple(credential for credential, _ in found),
        )

    def dates(self, signature: Signature, *, name: str) -> dt.datetime | None:
        """The earliest time that a signature gives its evidence; None where it would count for no rule.

        A timestamp is over an ECDSA signature alone, and whoever may still choose a key can make one under which an old
        signature fits a new payload. So a timestamp beside a key counts only for a key whose ``validFrom`` it is not
        before: then the key was known. A log's entry names key and payload, and a certificate lives for minutes.
        """
        if self.refusals(signature, name=name) or not isinstance(signature, IdentitySignature):
            return None
        chosen_later = bool(signature.key_id) and all(item.valid_from is None for item in signature.credentials)
        times = [time.at for time in signature.witnessed.times if time.source == "log" or not chosen_later]
        return min(times, default=None)

    def refusals(self, signature: Signature, *, name: str) -> tuple[Refusal, ...]:
        """Why an authentic signature of this identity does not count.

        Raises:
            TypeError: not a signature that `verify` returned: its credential is unknown.
        """
        if not isinstance(signature, IdentitySignature):
            raise TypeError("expected a signature that an Identity verified, got another")
        found = [*_refusals_of_credentials(signature, name=name)]
        witnessed = signature.witnessed
        why = f" ({witnessed.message})" if witnessed.message else ""
        if self.require_timestamp and not witnessed.timestamped:
            found.append(
                Refusal(
                    reason="signature-timestamp",
                    message=f"expected an RFC 3161 timestamp on the signature of {name}, got none that counts{why}",
                    mend=f"have {name} publish with --require-timestamp",
                )
            )
        if self.require_log and not witnessed.logged:
            found.append(
                Refusal(
                    reason="signature-unlogged",
                    message=f"expected the signature of {name} in a transparency log, got no entry that counts{why}",
                    mend=f"have {name} publish with --require-log",
                )
            )
        return tuple(found)


def _refusals_of_credentials(signature: IdentitySignature, *, name: str) -> tuple[Refusal, ...]:
    """Why no credential counts: one that was revoked refuses for all, else it takes one that counts."""
    looked = [(item, _outside(signature, item, name=name)) for item in signature.credentials]
    revoked = [found for item, found in looked if item.revoked_at is not None and found]
    return min(revoked or [found for _, found in looked], key=len)


def _outside(signature: IdentitySignature, credential: Credential, *, name: str) -> tuple[Refusal, ...]:
    """Why the signature was not made while the credential was good, by everything that dates it."""
    start, end = credential.valid_from, credential.end
    times = [time.at for time in signature.witnessed.times]
    if start is None and end is None:
        return ()
    if not times:
        message = signature.witnessed.message
        return (
            Refusal(
                reason="signer-undated",
                message=f"expected a trusted time, since a credential of {name} does not count always, got none"
                + (f" ({message})" if message else ""),
                mend=f"have {name} publish with --require-timestamp",
            ),
        )
    at = min(times)
    if start is not None and at < start:
        return (
            Refusal(
                reason="signer-not-yet",
                message=f"expected a signature of {name} from {_time(start)} on, got one of {_time(at)}",
                mend=f"have {name} sign again",
            ),
        )
    if end is None or at < end:
        return ()
    revoked = credential.revoked_at is not None and credential.revoked_at == end
    return (
        Refusal(
            reason="signer-revoked" if revoked else "signer-expired",
            message=f"expected a signature of {name} before {_time(end)}, when its credential "
            f"{'was revoked' if revoked else 'ended'}, got one of {_time(at)}",
            mend=f"have {name} sign with a credential that is good, or see whether this one ended so early",
        ),
    )


def _time(at: dt.datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
