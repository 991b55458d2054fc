"""A whole Nitro vendor in memory, for tests: real formats and real cryptography, and every part can be made to lie.

The parts are those of the simulated platform, so a document from here differs from a real one in its root alone. What a
test wants to be wrong is passed as a keyword; all else stays valid at ``now``.

>>> import datetime as dt
>>> now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
>>> vendor = SimulatedNitroVendor(now)
>>> from lamslsa.evidence.nitro.verify import NitroVerifier
>>> document = vendor.document(bytes(64))
>>> NitroVerifier().verify(document, collateral=None, roots=[vendor.root], at=now).module_id
'i-simulated-enc0'
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding

from lamslsa.evidence import _cbor
from lamslsa.evidence.interface import Evidence, Root
from lamslsa.evidence.roots import root_of
from lamslsa.evidence.simulated.nitro_document import (
    LEAF_LIFE,
    ROLES,
    Key,
    NitroRole,
    Window,
    certify,
    document,
    generate_keys,
    payload,
)
from lamslsa.predicates.tee_evidence import NITRO_DOCUMENT_MEDIA_TYPE

__all__ = ["PCRS", "SimulatedNitroVendor"]

PCRS: Final[Mapping[int, bytes]] = {
    **dict.fromkeys(range(16), bytes(48)),
    **{n: bytes([0x11 + n]) * 48 for n in range(3)},
}
_MODULE_ID: Final = "i-simulated-enc0"
_DAY: Final = dt.timedelta(days=1)
_MINUTE: Final = dt.timedelta(minutes=1)


class SimulatedNitroVendor:
    """Mints one instance's keys and certificates, then documents at will.

    Args:
        now: when everything is valid: authorities for ten years, the leaf for three hours.
        windows: validity of single certificates, where it differs.
        keys: those that replace freshly made ones, by role.
    """

    def __init__(
        self,
        now: dt.datetime,
        *,
        windows: Mapping[NitroRole, Window] | None = None,
        keys: Mapping[NitroRole, Key] | None = None,
    ) -> None:
        self.now = now
        self.keys = {**generate_keys(), **(keys or {})}
        usual: dict[NitroRole, Window] = {
            "root": (now - _DAY, now + 3650 * _DAY),
            "instance": (now - _DAY, now + 3650 * _DAY),
            "leaf": (now - _MINUTE, now + LEAF_LIFE),
        }
        chosen = {**usual, **(windows or {})}
        self.certificates = {role: certify(role, self.keys, window=chosen[role]) for role in ROLES}

    def der(self, role: NitroRole) -> bytes:
        """One of the certificates."""
        return self.certificates[role].public_bytes(Encoding.DER)

    @property
    def root(self) -> Root:
        """The root that a verifier has to trust."""
        return root_of(self.der("root"))

    def members(self, user_data: bytes | None, *, pcrs: Mapping[int, bytes] = PCRS) -> dict[str, Any]:
        """What a document says, before it is signed."""
        return payload(
            chain=(self.der("leaf"), self.der("instance"), self.der("root")),
            module_id=_MODULE_ID,
            timestamp=self.now,
            pcrs=pcrs,
            user_data=user_data,
        )

    def document(
        self,
        user_data: bytes | None,
        *,
        pcrs: Mapping[int, bytes] = PCRS,
        members: Mapping[str, Any] | None = None,
        dumps: Callable[[Any], bytes] = _cbor.dumps,
    ) -> bytes:
        """A document over user data; ``members`` replace what it says before it is signed, ``dumps`` writes them."""
        said = {**self.members(user_data, pcrs=pcrs), **(members or {})}
        return document(self.keys["leaf"], said, dumps=dumps)

    def evidence(self, report_data: bytes) -> Evidence:
        """A document as an attester hands it on."""
        return Evidence(media_type=NITRO_DOCUMENT_MEDIA_TYPE, quote=self.document(report_data), collateral=None)
