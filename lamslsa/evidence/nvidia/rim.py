"""Reference integrity manifests of NVIDIA: the golden measurements of one driver or VBIOS, as XML that is signed.

Rules:
- Plain XML only, in UTF-8: no document type, entity, comment, CDATA or processing instruction, which leaves nothing to
  expand or to fetch.
- One SoftwareIdentity with one signature, its child, over the whole document but itself, in the algorithms that NVIDIA
  uses. Measurements are read from the bytes that the signature was computed over, and nothing else.
- The certificates in the signature form a path to one of the given roots, valid at the time in question: manifests are
  replaced before their signer's certificate expires.
- Parsing authenticates nothing; it serves to find the manifest of a GPU among many.

Needs the packages signxml and lxml (``lamslsa[gpu]``), which are loaded when the first manifest is read.

Spec: TCG Reference Integrity Manifest Information Model 1.01; ISO/IEC 19770-2:2015; W3C XML Signature 1.1.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from lamslsa import _codec
from lamslsa.errors import FormatError, UnavailableError, VerificationError

__all__ = ["MAX_MANIFEST_BYTES", "Manifest", "Presented", "parse", "verify"]

MAX_MANIFEST_BYTES: Final = 1024 * 1024
_DECLARATION: Final = re.compile(rb"""<\?xml version=["']1\.0["'](?: encoding=["'](?:UTF|utf)-8["'])?\?>\s*""")
_SWID: Final = "{http://standards.iso.org/iso/19770/-2/2015/schema.xsd}"
_HASH: Final = "{http://www.w3.org/2001/04/xmlenc#sha384}Hash"
_DS: Final = "{http://www.w3.org/2000/09/xmldsig#}"
_C14N: Final = "http://www.w3.org/2006/12/xml-c14n11"
_ENVELOPED: Final = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
_MAX_CERTIFICATES: Final = 8
_NUMBER: Final = re.compile(r"[0-9]{1,3}")
_DIGEST: Final = re.compile(r"(?:[0-9a-fA-F]{2}){1,64}")
_WORD: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ACTIVE: Final = {"True": True, "False": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a manifest says.

    Attributes:
        product: the chip, as ``GH100``.
        version: of the driver or the VBIOS.
        measurements: the values that each measurement may have, by index, which counts from 0; at least one.
    """

    product: str
    version: str
    measurements: Mapping[int, tuple[bytes, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """A manifest with the right shape; nothing here is authentic.

    Attributes:
        raw: the document.
        chain: DER certificates, signer first.
    """

    raw: bytes
    content: Manifest
    chain: tuple[bytes, ...]


def parse(data: bytes) -> Presented:
    """Take a manifest apart.

    Raises:
        FormatError: not a manifest.
        UnavailableError: the packages that read it are missing.
    """
    root = _document(data)
    signature = _only(root, f"{_DS}Signature")
    if sum(1 for _ in root.iter(f"{_DS}Signature")) != 1:
        raise FormatError("expected one signature in the manifest, got more", reason="manifest-shape")
    _refuse_other_algorithms(signature)
    data_of_key = _only(_only(signature, f"{_DS}KeyInfo"), f"{_DS}X509Data")
    return Presented(raw=data, content=_read(root), chain=_certificates(data_of_key))


def verify(manifest: Presented, *, roots: Collection[str], at: dt.datetime) -> Manifest:
    """Authenticate a manifest up to one of ``roots``, as of ``at``.

    1. The last certificate is one of ``roots``.
    2. The certificates form a path to it, valid at ``at``.
    3. The first one's key signed the document.
    4. What was signed says what the document seemed to say; it is what comes back.

    Args:
        manifest: from `parse`.
        roots: SHA-256 fingerprints, hexadecimal.
        at: timezone-aware.

    Raises:
        FormatError: certificates that cannot be read.
        VerificationError: not authentic; the reason is evidence-manifest-root, evidence-chain,
            evidence-certificate-window or evidence-manifest-signature.
        UnavailableError: the packages that verify it are missing.
    """
    from lamslsa.evidence._x509 import load_certificate, verify_path

    root = _codec.sha256_hex(manifest.chain[-1])
    if root not in roots:  # (1)
        raise VerificationError(
            f"expected a manifest under root {' or '.join(sorted(roots)) or 'none'}, got one under root {root}",
            reason="evidence-manifest-root",
        )
    certificates = [load_certificate(der, what="the manifest") for der in manifest.chain]
    verify_path(certificates, at=at, what="the manifest")  # (2)
    content = _read(_document(_signed_bytes(manifest.raw, certificates[0], at)))  # (3)
    if content != manifest.content:  # (4)
        raise VerificationError(
            "expected a manifest whose signature covers what it says, got one with more than was signed",
            reason="evidence-manifest-signature",
        )
    return content


def _signed_bytes(raw: bytes, signer: Any, at: dt.datetime) -> bytes:
    try:
        from signxml.algorithms import DigestAlgorithm, SignatureMethod
        from signxml.verifier import SignatureConfiguration, XMLVerifier
    except ModuleNotFoundError as err:
        raise _unavailable(err) from err
    expected = SignatureConfiguration(
        location="./",
        signature_methods=frozenset({SignatureMethod.ECDSA_SHA384}),
        digest_algorithms=frozenset({DigestAlgorithm.SHA384}),
        verification_time=at,
    )
    verifier: Any = XMLVerifier()
    try:
        signed: bytes = verifier.verify(raw, x509_cert=signer, expect_config=expected).signed_data
    except Exception as err:  # the library lists no complete set of what malformed signatures raise
        raise VerificationError(
            f"expected a manifest that its signer signed, got {err or type(err).__name__}"[:300],
            reason="evidence-manifest-signature",
        ) from err
    return signed


def _document(data: bytes) -> Any:
    if len(data) > MAX_MANIFEST_BYTES:
        raise FormatError(
            f"expected at most {MAX_MANIFEST_BYTES} bytes of manifest, got {len(data)}", reason="manifest-size"
        )
    declaration = _DECLARATION.match(data)
    body = data[declaration.end() :] if declaration else data
    if not body.startswith(b"<") or b"<!" in body or b"<?" in body:
        raise FormatError(
            "expected plain XML, got a document type, entity, comment, CDATA or processing instruction",
            reason="manifest-xml",
        )
    try:
        from lxml import etree
    except ModuleNotFoundError as err:
        raise _unavailable(err) from err
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False
    )
    try:
        root = etree.fromstring(body, parser=parser)
    except (etree.XMLSyntaxError, ValueError) as err:
        raise FormatError(f"expected XML, got {err}"[:300], reason="manifest-xml") from err
    if root.tag != f"{_SWID}SoftwareIdentity":
        raise FormatError(f"expected a SoftwareIdentity, got {root.tag!r:.100}", reason="manifest-shape")
    return root


def _only(parent: Any, tag: str) -> Any:
    found = [child for child in parent if child.tag == tag]
    if len(found) != 1:
        raise FormatError(f"expected one {tag} in the manifest, got {len(found)}", reason="manifest-shape")
    return found[0]


def _refuse_other_algorithms(signature: Any) -> None:
    """The library passes over transforms that it does not know, and takes any part of the document as signed."""
    signed_info = _only(signature, f"{_DS}SignedInfo")
    reference = _only(signed_info, f"{_DS}Reference")
    transforms = [item.get("Algorithm") for item in _only(reference, f"{_DS}Transforms")]
    canonical = _only(signed_info, f"{_DS}CanonicalizationMethod").get("Algorithm")
    if (dict(reference.attrib), transforms, canonical) != ({"URI": ""}, [_ENVELOPED, _C14N], _C14N):
        raise FormatError(
            "expected a signature over the whole manifest but itself, in canonical XML 1.1, got another",
            reason="manifest-shape",
        )


def _certificates(data_of_key: Any) -> tuple[bytes, ...]:
    texts = [item.text or "" for item in data_of_key if item.tag == f"{_DS}X509Certificate"]
    if not 1 <= len(texts) <= _MAX_CERTIFICATES:
        raise FormatError(
            f"expected 1 to {_MAX_CERTIFICATES} certificates in the manifest, got {len(texts)}",
            reason="manifest-certificates",
        )
    try:
        return tuple(base64.b64decode("".join(text.split()), validate=True) for text in texts)
    except (binascii.Error, ValueError) as err:
        raise FormatError(
            "expected certificates in base64 in the manifest, got other text", reason="manifest-certificates"
        ) from err


def _read(root: Any) -> Manifest:
    meta = _only(root, f"{_SWID}Meta")
    product, version = meta.get("product", ""), meta.get("colloquialVersion", "")
    if not _WORD.fullmatch(product) or not _WORD.fullmatch(version):
        raise FormatError(
            f"expected the product and version that a manifest is about, got {product!r:.80} and {version!r:.80}",
            reason="manifest-shape",
        )
    measurements: dict[int, tuple[bytes, ...]] = {}
    seen: set[int] = set()
    for resource in _only(root, f"{_SWID}Payload"):
        index, active, values = _measurement(resource)
        if index in seen:
            raise FormatError(f"expected each measurement once, got {index} twice", reason="manifest-measurements")
        seen.add(index)
        if active:
            measurements[index] = values
    if not measurements:
        raise FormatError("expected active measurements in the manifest, got none", reason="manifest-measurements")
    return Manifest(product=product, version=version, measurements=MappingProxyType(measurements))


def _measurement(resource: Any) -> tuple[int, bool, tuple[bytes, ...]]:
    attributes = dict(resource.attrib)
    texts = [value for name, value in attributes.items() if name.startswith(_HASH)]
    index, size, alternatives = (attributes.get(name, "") for name in ("index", "size", "alternatives"))
    well_formed = (
        resource.tag == f"{_SWID}Resource"
        and attributes.get("type") == "Measurement"
        and attributes.get("active") in _ACTIVE
        and all(_NUMBER.fullmatch(number) for number in (index, size, alternatives))
        and len(texts) == int(alternatives) > 0
        and all(_DIGEST.fullmatch(text) and len(text) == 2 * int(size) for text in texts)
    )
    if not well_formed:
        raise FormatError(
            f"expected a measurement in the manifest, got {resource.tag!r:.80} with index {index!r:.20}",
            reason="manifest-measurements",
        )
    return int(index), _ACTIVE[attributes["active"]], tuple(bytes.fromhex(text) for text in texts)


def _unavailable(err: ModuleNotFoundError) -> UnavailableError:
    return UnavailableError(
        f"expected the package {err.name} to read manifests of GPUs, got none",
        reason="manifest-package",
        hint="pip install 'lamslsa[gpu]', or verify without manifests",
    )
