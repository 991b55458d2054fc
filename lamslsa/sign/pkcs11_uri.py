"""URIs of PKCS#11 (RFC 7512) that name one private key on one token.

Rules:
- Attributes that are not understood are refused, as section 2.3 asks of whoever has to find exactly one object.
- ``pin-value`` is refused, since command lines are seen by others; a ``pin-source`` is a file and no command.

>>> TokenAddress.parse("pkcs11:token=release;object=2026?module-path=/usr/lib/hsm.so").label
'2026'
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from lamslsa.errors import FormatError

__all__ = ["TokenAddress"]

_SCHEME: Final = "pkcs11:"
_PATH: Final = frozenset({"token", "serial", "object", "id", "type"})
_QUERY: Final = frozenset({"pin-source", "module-path"})
_MAX_URI: Final = 4096
_STRAY_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAddress:
    """What a ``pkcs11:`` URI names.

    Attributes:
        token: the token's label.
        serial: the token's serial number; empty where the label suffices.
        label: of the key; empty where its id names it.
        key_id: ``CKA_ID``; empty where the label names the key.
        pin_file: empty where the environment has the PIN.
        module: the library to load; empty where the environment names it.
    """

    token: str
    serial: str = ""
    label: str = ""
    key_id: bytes = b""
    pin_file: str = ""
    module: str = ""

    @classmethod
    def parse(cls, uri: str) -> TokenAddress:
        """Parse a URI of RFC 7512.

        Raises:
            FormatError: not such a URI, or it names no single key.
        """
        if len(uri) > _MAX_URI or not uri.startswith(_SCHEME):
            raise FormatError(f"expected a pkcs11: URI of at most {_MAX_URI} characters", reason="pkcs11-uri")
        path, _, query = uri.removeprefix(_SCHEME).partition("?")
        named, settings = _attributes(path, ";", _PATH), _attributes(query, "&", _QUERY)
        if named.get("type", b"private") != b"private":
            raise FormatError("expected type=private, got another type of object", reason="pkcs11-uri-type")
        if not named.get("token") or not (named.get("object") or named.get("id")):
            raise FormatError(
                "expected token=… and object=… or id=… in the pkcs11: URI, got less",
                reason="pkcs11-uri-incomplete",
                hint="pkcs11:token=LABEL;object=KEY?module-path=/usr/lib/….so&pin-source=file:/run/pin",
            )
        pin = _text(settings, "pin-source")
        if pin.startswith("|") or (":" in pin and not pin.startswith("file:")):
            raise FormatError("expected a file as pin-source, got something else", reason="pkcs11-pin-source")
        return cls(
            token=_text(named, "token"),
            serial=_text(named, "serial"),
            label=_text(named, "object"),
            key_id=named.get("id", b""),
            pin_file=pin.removeprefix("file:").removeprefix("//"),
            module=_text(settings, "module-path"),
        )


def _attributes(text: str, separator: str, known: frozenset[str]) -> dict[str, bytes]:
    result: dict[str, bytes] = {}
    for part in text.split(separator) if text else ():
        name, equals, value = part.partition("=")
        if name == "pin-value":
            raise FormatError(
                "expected no PIN in the pkcs11: URI, got pin-value",
                reason="pkcs11-pin-value",
                hint="use pin-source=file:/run/pin or LAMSLSA_PKCS11_PIN",
            )
        if not equals or name not in known:
            raise FormatError(
                f"expected the attributes {', '.join(sorted(known))} in this part of a pkcs11: URI, got {name[:40]!r}",
                reason="pkcs11-uri-attribute",
            )
        if name in result or _STRAY_PERCENT.search(value):
            raise FormatError(f"expected {name} once and percent-encoded, got otherwise", reason="pkcs11-uri")
        result[name] = unquote_to_bytes(value)
    return result


def _text(attributes: Mapping[str, bytes], name: str) -> str:
    try:
        return attributes.get(name, b"").decode("utf-8")
    except UnicodeDecodeError as err:
        raise FormatError(f"expected UTF-8 in {name}, got other bytes", reason="pkcs11-uri") from err
