"""The parts of a trusted root, each read once: which log an entry names, who stamps, and for which times.

Rules:
- A log is known by the id that the root gives it; Sigstore's client reads no root that gives none. What an entry brings
  along is verified with the key of that log and no other. Sigstore's client tries every key where an id is none
  that it computes itself, as those of Rekor v2 are, and so a retired key would speak under the name of another log.
- An id that the root gives twice names no log.
- A period includes both of its ends (``TimeRange`` of sigstore_common.proto); a part without one counts at all times.
- A timestamp has exactly one signer, and states a time within the period of the authority that signed it.

This module imports Sigstore (about a second): import it where something is verified.
"""

# ruff: noqa: SLF001 - Sigstore's client keeps periods and ids to itself; the version is pinned

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping

from rfc3161_client import TimeStampResponse, VerifierBuilder
from sigstore._internal.trust import CertificateAuthority, CTKeyring, Key, Keyring, KeyringPurpose, RekorKeyring
from sigstore._utils import KeyID, is_timerange_valid
from sigstore.errors import VerificationError as SigstoreError
from sigstore.models import TrustedRoot
from sigstore_models.trustroot.v1 import TransparencyLogInstance
from sigstore_models.trustroot.v1 import TrustedRoot as TrustedRootModel

from lamslsa.errors import VerificationError
from lamslsa.sign.keyless._boundary import refusing, told

__all__ = ["RootParts", "covers", "no_timestamp"]


class _LogKeyring(Keyring):
    """Keys of logs by the ids of the logs."""

    def __init__(self, logs: Mapping[bytes, TransparencyLogInstance]) -> None:
        super().__init__()
        for log_id, log in logs.items():
            if is_timerange_valid(log.public_key.valid_for, allow_expired=True):
                try:
                    self._keyring[KeyID(log_id)] = Key(log.public_key)
                except SigstoreError:
                    continue  # a kind of key that this release does not know: the root may name others beside it

    def verify(self, *, key_id: KeyID, signature: bytes, data: bytes) -> None:
        """That the log with this id has signed the data.

        Raises:
            SigstoreError: it has not, or there is no such log.
        """
        if key_id not in self._keyring:
            raise SigstoreError(f"no log of the trusted root has the id {key_id.hex()[:64]}")
        super().verify(key_id=key_id, signature=signature, data=data)


class RootParts(TrustedRoot):
    """A trusted root of which each part is read once."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(TrustedRootModel.from_json(raw))
        self._logs = _by_id(self._inner.tlogs)
        self._rekor: RekorKeyring | None = None
        self._ct: CTKeyring | None = None
        self._timestamps: list[CertificateAuthority] | None = None

    def rekor_keyring(self, purpose: KeyringPurpose = KeyringPurpose.VERIFY) -> RekorKeyring:  # noqa: ARG002 - signs never
        """Keys of the transparency logs, for verifying."""
        if self._rekor is None:
            self._rekor = RekorKeyring(_LogKeyring(self._logs))
        return self._rekor

    def ct_keyring(self, purpose: KeyringPurpose = KeyringPurpose.VERIFY) -> CTKeyring:  # noqa: ARG002 - signs never
        """Keys of the logs of certificates, for verifying."""
        if self._ct is None:
            self._ct = super().ct_keyring(KeyringPurpose.VERIFY)
        return self._ct

    def get_timestamp_authorities(self) -> list[CertificateAuthority]:
        """Timestamp authorities with their certificates."""
        if self._timestamps is None:
            self._timestamps = super().get_timestamp_authorities()
        return self._timestamps

    def speaks(self, log_id: bytes, times: Collection[dt.datetime]) -> bool:
        """Whether the root gives the key of this log for one of these times.

        Where nothing says the time, a key counts only if no end is given: leaving out a time must not help anybody.
        """
        log = self._logs.get(log_id)
        if log is None:
            return False
        period = log.public_key.valid_for
        if not times:
            return period is None or period.end is None
        return any(covers(period, at) for at in times)

    def stamped(self, response: TimeStampResponse, signature: bytes) -> dt.datetime:
        """The time of a timestamp over a signature, by an authority of this root.

        Raises:
            VerificationError: it is none; the last authority's words say why.
            ValueError: the response has no timestamp.
        """
        if len(response.signed_data.signer_infos) != 1:
            raise no_timestamp(ValueError("another number of signers than one"))
        at: dt.datetime = response.tst_info.gen_time
        refused = no_timestamp(ValueError("no authority in the trusted root"))
        for authority in self.get_timestamp_authorities():
            try:
                with refusing(no_timestamp):
                    _verify_stamp(authority, response, signature, at)
            except VerificationError as err:
                refused = err
            else:
                return at
        raise refused


def covers(period: object, at: dt.datetime) -> bool:
    """Whether a period of the trusted root covers a time."""
    start, end = getattr(period, "start", None), getattr(period, "end", None)
    return (start is None or start <= at) and (end is None or at <= end)


def _by_id(logs: Collection[TransparencyLogInstance]) -> dict[bytes, TransparencyLogInstance]:
    often = Counter(log.log_id.key_id for log in logs)
    return {log.log_id.key_id: log for log in logs if often[log.log_id.key_id] == 1}


def _verify_stamp(
    authority: CertificateAuthority, response: TimeStampResponse, signature: bytes, at: dt.datetime
) -> None:
    leaf, *others = authority.certificates(allow_expired=True)
    *intermediates, anchor = others
    VerifierBuilder(tsa_certificate=leaf, intermediates=intermediates, roots=[anchor]).build().verify_message(
        response, signature
    )
    if not covers(authority._inner.valid_for, at):
        raise ValueError("a time outside the period that the trusted root gives")


def no_timestamp(err: BaseException) -> VerificationError:
    """That a timestamp counts for nothing, and why."""
    return VerificationError(
        f"expected a timestamp over the signature by an authority of the trusted root, got {told(err)}",
        reason="witness-timestamp",
    )
