"""A whole GPU vendor in memory, for tests: real formats and real cryptography, and every part can be made to lie.

The parts are those of simulated GPUs, so a report from here differs from a real one in its root alone. What a test
wants to be wrong is passed as a keyword; all else stays valid at ``now``. Manifests need the package signxml.

>>> import datetime as dt
>>> now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
>>> vendor = SimulatedGpuVendor(now)
>>> from lamslsa.evidence.nvidia.verify import NvidiaVerifier
>>> report, nonce = vendor.report(bytes(32)), bytes(32)
>>> NvidiaVerifier().verify(report, nonce=nonce, roots=[vendor.root], manifests=[], at=now).architecture
'hopper'
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from lamslsa.evidence.interface import Root
from lamslsa.evidence.nvidia.parse import render
from lamslsa.evidence.roots import root_of
from lamslsa.evidence.simulated.gpu_report import (
    CHAIN,
    Gpu,
    Key,
    Role,
    Window,
    certify,
    dice_extension,
    generate_key,
    key_usage,
    messages,
    sign,
)

__all__ = ["SimulatedGpuVendor"]

_DAY: Final = dt.timedelta(days=1)
_SALT: Final = bytes(range(32))
_SWID: Final = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
_HASH: Final = "http://www.w3.org/2001/04/xmlenc#sha384"
_LISTED: Final = {"vbios": range(13), "driver": range(20, 41)}
_VERSIONS: Final = {"vbios": "96.00.5E.00.01", "driver": "550.54.15"}


class SimulatedGpuVendor:
    """Mints one GPU's keys and certificates, then reports and manifests at will.

    Args:
        now: when everything is valid, for ten years.
        gpu: what the GPU says.
        windows: validity of single certificates, where it differs.
        keys: keys of single certificates, where they are not fresh ones on P-384.
        dice: what the certificate of the signing key says of the firmware, where that is not the truth.
    """

    def __init__(
        self,
        now: dt.datetime,
        *,
        gpu: Gpu | None = None,
        windows: Mapping[Role, Window] | None = None,
        keys: Mapping[Role, Key] | None = None,
        dice: x509.UnrecognizedExtension | None = None,
    ) -> None:
        self.now = now
        self.gpu = gpu or Gpu()
        self._window = (now - _DAY, now + 3650 * _DAY)
        self._keys: dict[Role, Key] = {role: generate_key() for role in CHAIN} | dict(keys or {})
        certificates = certify(
            self._keys,
            chip=self.gpu.chip,
            dice=dice or dice_extension(self.gpu, self._keys["device"].public_key()),
            windows={**dict.fromkeys(CHAIN, self._window), **(windows or {})},
        )
        self._root = certificates["root"]
        self.chain = tuple(certificates[role].public_bytes(Encoding.DER) for role in CHAIN)

    @property
    def root(self) -> Root:
        """The root that a verifier has to trust."""
        return root_of(self.chain[-1])

    def raw_report(
        self, nonce: bytes, *, gpu: Gpu | None = None, change: Callable[[bytes], bytes] | None = None
    ) -> bytes:
        """Request and response with the GPU's signature; ``change`` has the GPU sign something else."""
        said = messages(gpu or self.gpu, nonce, salt=_SALT)
        if change:
            said = change(said)
        return said + sign(self._keys["report"], said)

    def report(self, nonce: bytes, *, gpu: Gpu | None = None, change: Callable[[bytes], bytes] | None = None) -> bytes:
        """Evidence over a nonce."""
        return render(self.raw_report(nonce, gpu=gpu, change=change), self.chain)

    def manifest(
        self,
        kind: Literal["driver", "vbios"],
        *,
        product: str | None = None,
        version: str | None = None,
        measurements: Mapping[int, Sequence[bytes]] | None = None,
        window: Window | None = None,
        change: Callable[[str], str] | None = None,
    ) -> bytes:
        """A signed manifest; without keywords that of this GPU's driver or VBIOS, which lists its measurements.

        Args:
            kind: whose measurements it lists.
            product: the chip.
            version: of the driver or VBIOS.
            measurements: further measurements, or other values of them; none at all makes one inactive.
            window: validity of the signer's certificate.
            change: of the text before it is signed.
        """
        listed: dict[int, Sequence[bytes]] = {index: [self.gpu.measurements[index]] for index in _LISTED[kind]}
        text = _manifest_text(
            product or self.gpu.chip, version or _VERSIONS[kind], sorted((listed | dict(measurements or {})).items())
        )
        return self._sign_manifest(change(text) if change else text, window or self._window)

    def _sign_manifest(self, text: str, window: Window) -> bytes:
        from lxml import etree
        from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
        from signxml.signer import XMLSigner

        authority, signer = generate_key(), generate_key()
        middle = _certificate("SIMULATED Reference Value CA", authority, self._root.subject, self._keys["root"], window)
        leaf = _certificate("SIMULATED RIM Signer", signer, middle.subject, authority, window, ca=False)
        xml_signer: Any = XMLSigner(
            signature_algorithm=SignatureMethod.ECDSA_SHA384,
            digest_algorithm=DigestAlgorithm.SHA384,
            c14n_algorithm=CanonicalizationMethod.CANONICAL_XML_1_1,
        )
        chain = [certificate.public_bytes(Encoding.PEM).decode() for certificate in (leaf, middle, self._root)]
        signed = xml_signer.sign(etree.fromstring(text), key=signer, cert=chain)
        data: bytes = etree.tostring(signed)
        return data


def _manifest_text(product: str, version: str, measurements: Sequence[tuple[int, Sequence[bytes]]]) -> str:
    resources = []
    for index, values in measurements:
        hashed = " ".join(f'h:Hash{at}="{value.hex()}"' for at, value in enumerate(values or [bytes(48)]))
        resources.append(
            f'<Resource type="Measurement" index="{index}" active="{bool(values)}" '
            f'alternatives="{len(values) or 1}" {hashed} name="Measurement_{index}" size="48"/>'
        )
    return (
        f'<SoftwareIdentity xmlns="{_SWID}" xmlns:h="{_HASH}" name="{product}" tagId="simulated" version="1.0">'
        f'<Meta colloquialVersion="{version}" edition="GPU" product="{product}"/>'
        f"<Payload>{''.join(resources)}</Payload></SoftwareIdentity>"
    )


def _certificate(
    name: str, key: Key, issuer: x509.Name, issuer_key: Key, window: Window, *, ca: bool = True
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name}, no hardware")])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(window[0])
        .not_valid_after(window[1])
        .add_extension(key_usage(ca=ca), critical=True)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(issuer_key, hashes.SHA384())
    )
