"""A policy with every file that it names in one line of text, to be handed to a process that shares no disk.

Rules:
- The same policy comes to the same text. Whoever reads it pins its closure, so a text of anybody may be read.
- At most `MAX_INLINE_BYTES`: Linux takes no more than 128 KiB in one variable. At most `_MAX_BYTES` unpacked.
- Where the policy names no Sigstore of its own, the trusted root under which it was read goes along, and so does what
  manufacturers say of platforms. Neither is in the closure, so whoever hands the text over vouches for them.

>>> text = pack({POLICY: b"a: 1", "keys/a.der": b"x"})
>>> unpack(text).files["keys/a.der"]
b'x'
"""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lamslsa import _codec
from lamslsa.errors import FormatError, PolicyError, VerificationError
from lamslsa.policy.opening import OpenedPolicy, open_policy

__all__ = ["MAX_INLINE_BYTES", "POLICY", "Inline", "open_inline", "pack", "pack_policy", "unpack"]

POLICY: Final = "(policy)"
MAX_INLINE_BYTES: Final = 96 * 1024
_MAX_BYTES: Final = 8 * 1024 * 1024
_ROOT: Final = "trustedRoot"
_TEXTS: Final = "files"
_OTHERS: Final = "binary"
_COLLATERAL: Final = "collateral"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inline:
    """What a text holds.

    Attributes:
        files: by path relative to the policy, which is called `POLICY`.
        trusted_root: of Sigstore, where the policy names none; None for the embedded one.
        collateral: what manufacturers say of platforms, each a document of JSON.
    """

    files: dict[str, bytes]
    trusted_root: bytes | None
    collateral: tuple[bytes, ...]


def pack(files: Mapping[str, bytes], trusted_root: bytes | None = None, collateral: Sequence[bytes] = ()) -> str:
    """Put files into one line of base64.

    Raises:
        PolicyError: they do not fit (policy-inline-size).
        FormatError: collateral that is no text (policy-inline).
    """
    document: dict[str, Any] = {_TEXTS: {}, _OTHERS: {}, _COLLATERAL: [_text(data) for data in collateral]}
    for name, data in files.items():
        try:
            document[_TEXTS][name] = data.decode()
        except UnicodeDecodeError:
            document[_OTHERS][name] = _codec.encode_base64(data)
    if trusted_root is not None:
        document[_ROOT] = _codec.encode_base64(trusted_root)
    data = _codec.canonical(document)
    text = _codec.encode_base64(zlib.compress(data, 9))
    if len(data) > _MAX_BYTES or len(text) > MAX_INLINE_BYTES:
        raise PolicyError(
            f"expected a policy that fits into {MAX_INLINE_BYTES} bytes with its files, {_MAX_BYTES} unpacked, "
            f"got {len(text)}, {len(data)} unpacked",
            reason="policy-inline-size",
            hint="take out what it does not need: reference values, policies that it extends, collateral",
        )
    return text


def pack_policy(opened: OpenedPolicy, trusted_root: bytes | None = None, collateral: Sequence[bytes] = ()) -> str:
    """Put a policy with all that it names into one line of base64, and see that it is the same when taken out.

    Raises:
        PolicyError: it does not fit (policy-inline-size), or names a file by its own new name (policy-inline-name).
        FormatError: it cannot be taken out as it was put in, or the trusted root is none.
        VerificationError: what is taken out is another policy (policy-inline-digest).
    """
    if POLICY in opened.files:
        raise PolicyError(
            f"expected no file named {POLICY} among those that the policy names, got one",
            reason="policy-inline-name",
            hint="give it another name",
        )
    text = pack({**opened.files, POLICY: opened.data}, trusted_root, collateral)
    open_inline(text, closure=opened.policy.closure)
    return text


def unpack(text: str) -> Inline:
    """Take the files out.

    Raises:
        FormatError: the text is none that `pack` makes (policy-inline), or no strict JSON.
    """
    if len(text) > MAX_INLINE_BYTES:
        raise FormatError(f"expected at most {MAX_INLINE_BYTES} bytes, got {len(text)}", reason="policy-inline")
    reader = zlib.decompressobj()
    try:
        data = reader.decompress(binascii.a2b_base64(text.encode("ascii"), strict_mode=True), _MAX_BYTES)
    except (ValueError, zlib.error) as err:
        raise _other() from err
    if not reader.eof or reader.unused_data:
        raise _other()
    document = _codec.loads(data, max_bytes=_MAX_BYTES)
    if not isinstance(document, dict) or document.keys() - {_TEXTS, _OTHERS, _ROOT, _COLLATERAL}:
        raise _other()
    texts, others = _named(document, _TEXTS), _named(document, _OTHERS)
    if texts.keys() & others.keys():
        raise _other()
    root = document.get(_ROOT)
    if root is not None and not isinstance(root, str):
        raise _other()
    collateral = document.get(_COLLATERAL)
    if not isinstance(collateral, list) or not all(isinstance(item, str) for item in collateral):
        raise _other()
    return Inline(
        files={name: value.encode() for name, value in texts.items()}
        | {name: _decoded(value) for name, value in others.items()},
        trusted_root=None if root is None else _decoded(root),
        collateral=tuple(item.encode() for item in collateral),
    )


def open_inline(text: str, *, closure: str) -> OpenedPolicy:
    """Read the policy in a text; nothing else is read, and nobody is asked.

    Args:
        text: as `pack_policy` makes it.
        closure: what the policy has to be, with its files; hexadecimal.

    Raises:
        FormatError: the text is none (policy-inline), or the policy not what it should be.
        VerificationError: another policy (policy-inline-digest).
    """
    found = unpack(text)

    def read(path: Path, limit: int, /) -> bytes:
        data = found.files.get(path.as_posix())
        if data is None:
            raise FileNotFoundError(f"no such file: {path}")
        if len(data) > limit:
            raise FormatError(f"expected at most {limit} bytes, got more", reason="policy-file")
        return data

    root = None
    if found.trusted_root is not None:
        from lamslsa.sign.keyless import SigstoreRoot

        root = SigstoreRoot.load(found.trusted_root)
    if POLICY not in found.files:
        raise _other()
    opened = open_policy(POLICY, read=read, trusted_root=root)
    if opened.policy.closure != closure:
        raise VerificationError(
            f"expected the policy sha256:{closure} with its files, got sha256:{opened.policy.closure}",
            reason="policy-inline-digest",
            hint="somebody has changed it on its way",
        )
    return opened


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as err:
        raise FormatError("expected collateral in UTF-8, got other bytes", reason="policy-inline") from err


def _named(document: Mapping[str, Any], key: str) -> dict[str, str]:
    found = document.get(key)
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise _other()
    return found


def _decoded(value: str) -> bytes:
    return _codec.decode_base64(value, what="a file of the policy", max_bytes=_MAX_BYTES)


def _other() -> FormatError:
    return FormatError(
        "expected a policy in one line of base64, as lamslsa makes it, got something else", reason="policy-inline"
    )
