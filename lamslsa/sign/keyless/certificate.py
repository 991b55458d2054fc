"""Who a certificate of Fulcio names: the subject, who vouched for it, and the run of a CI that it stands for.

Rules:
- One subject alternative name, of type e-mail, URI or Fulcio's own user name; anything else is refused.
- The extensions below 1.3.6.1.4.1.57264.1 are read strictly: DER UTF8String from .8 on, bare UTF-8 for the issuer of
  .1, with which .8 must agree where both stand. The other fields of .1 to .6 are deprecated and read by nobody here.
- A field that the certificate lacks is an empty string, and no term is met by it.

Spec: https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from lamslsa._der import element
from lamslsa.errors import FormatError

__all__ = ["FulcioIdentity"]

_ARC: Final = "1.3.6.1.4.1.57264.1."
_USER_NAME: Final = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7")
_FIELDS: Final = {
    x509.ObjectIdentifier(_ARC + arc): arc
    for arc in ("1", "8", "9", "11", "12", "13", "14", "15", "16", "17", "18", "20")
}
_UTF8_STRING: Final = 0x0C
_MAX_FIELD: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class FulcioIdentity:
    """The identity in a certificate; whoever made this object says whether the certificate is authentic.

    Attributes:
        san: the subject: an e-mail address, or the URI of a workflow or service.
        issuer: the OpenID Connect issuer that vouched for the subject.
        repository: URI of the source repository, as ``https://github.com/owner/name``.
        repository_id: the repository's number, which outlives its name.
        owner: URI of the repository's owner.
        owner_id: the owner's number.
        workflow: path within that same repository of the file that the run is configured by (the build config URI,
            or where there is none the build signer URI); empty where it lies in another repository.
        ref: of the source, as ``refs/heads/main``.
        runner_environment: ``github-hosted`` or ``self-hosted``.
        digest: commit of the source.
        trigger: the event that started the run.
    """

    san: str
    san_kind: Literal["email", "uri", "other"]
    issuer: str
    repository: str = ""
    repository_id: str = ""
    owner: str = ""
    owner_id: str = ""
    workflow: str = ""
    ref: str = ""
    runner_environment: str = ""
    digest: str = ""
    trigger: str = ""

    @property
    def signer(self) -> str:
        """Who signed, for people."""
        return f"{self.san} ({self.issuer})"

    @classmethod
    def parse(cls, certificate: x509.Certificate) -> FulcioIdentity:
        """Read the identity out of a certificate.

        Raises:
            FormatError: it breaks one of the rules of this module.
        """
        try:
            extensions = list(certificate.extensions)
        except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as err:
            raise FormatError(
                f"expected extensions of a certificate, got {err}", reason="certificate-extension"
            ) from err
        fields = {
            extension.oid.dotted_string.removeprefix(_ARC): extension.value.value
            for extension in extensions
            if isinstance(extension.value, x509.UnrecognizedExtension) and extension.oid.dotted_string.startswith(_ARC)
        }
        san, san_kind = _subject(extensions)
        repository = _text(fields, "12")
        return cls(
            san=san,
            san_kind=san_kind,
            issuer=_issuer(fields),
            repository=repository,
            repository_id=_text(fields, "15"),
            owner=_text(fields, "16"),
            owner_id=_text(fields, "17"),
            workflow=_workflow(repository, _text(fields, "18") or _text(fields, "9")),
            ref=_text(fields, "14"),
            runner_environment=_text(fields, "11"),
            digest=_text(fields, "13"),
            trigger=_text(fields, "20"),
        )


def _subject(extensions: list[x509.Extension[x509.ExtensionType]]) -> tuple[str, Literal["email", "uri", "other"]]:
    names = [
        name
        for extension in extensions
        if extension.oid == ExtensionOID.SUBJECT_ALTERNATIVE_NAME
        and isinstance(extension.value, x509.SubjectAlternativeName)
        for name in extension.value
    ]
    if len(names) != 1:
        raise FormatError(f"expected one subject alternative name, got {len(names)}", reason="certificate-san")
    match names[0]:
        case x509.RFC822Name(value=value) if value and value.isprintable():
            return value, "email"
        case x509.UniformResourceIdentifier(value=value) if value and value.isprintable():
            return value, "uri"
        case x509.OtherName(type_id=type_id, value=der) if type_id == _USER_NAME:
            return _utf8_string(der, "the subject alternative name"), "other"
        case name:
            raise FormatError(
                f"expected an e-mail address, URI or user name in printable text as subject, got {type(name).__name__}",
                reason="certificate-san",
            )


def _issuer(fields: dict[str, bytes]) -> str:
    current = _text(fields, "8")
    former = _plain(fields["1"], _ARC + "1") if "1" in fields else ""
    if not (current or former):
        raise FormatError(
            "expected the issuer of the identity in the certificate, got none", reason="certificate-issuer"
        )
    if current and former and current != former:
        raise FormatError(
            f"expected one issuer, got {current[:200]!r} and {former[:200]!r}", reason="certificate-issuer"
        )
    return current or former


def _workflow(repository: str, uri: str) -> str:
    """The path in ``REPOSITORY/PATH@REF``. Both may hold an ``@``: cut at the last, a path is never too short."""
    if not repository or not uri.startswith(repository + "/"):
        return ""
    path, at, _ = uri.removeprefix(repository + "/").rpartition("@")
    return path.removeprefix("/") if at else ""  # GitLab writes two slashes


def _text(fields: dict[str, bytes], arc: str) -> str:
    return _utf8_string(fields[arc], _ARC + arc) if arc in fields else ""


def _utf8_string(der: bytes, what: str) -> str:
    """A DER UTF8String (ITU-T X.690) that fills the bytes: shortest form of a definite length, nothing after it."""
    more = der[1] & 0x7F if len(der) > 1 and der[1] > 0x80 else 0  # bytes of a long form of the length
    body = der[2 + more :]
    if der != element(_UTF8_STRING, body):
        raise FormatError(f"expected a DER UTF8String in {what}, got other bytes", reason="certificate-extension")
    return _plain(body, what)


def _plain(data: bytes, what: str) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as err:
        raise FormatError(f"expected UTF-8 in {what}, got other bytes", reason="certificate-extension") from err
    if len(text) > _MAX_FIELD or not text.isprintable():
        raise FormatError(
            f"expected at most {_MAX_FIELD} printable characters in {what}, got others", reason="certificate-extension"
        )
    return text
