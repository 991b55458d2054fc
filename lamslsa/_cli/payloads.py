"""The payloads of a file that holds a statement: its bytes as they are, a bundle, or several bundles.

Nothing is said about signatures: for commands that judge something else about a statement.
"""

from __future__ import annotations

from lamslsa import _codec, statement
from lamslsa.errors import FormatError, LamslsaError
from lamslsa.sign.dsse import parse_bundles

__all__ = ["payloads"]


def payloads(name: str, data: bytes) -> tuple[bytes, ...]:
    """The payload of each statement in a file, each once and in order; bundles that cannot be read are left out.

    Args:
        name: of the file; it tells one bundle from several.
        data: its bytes.
    """
    if _is_payload(data):
        return (data,)
    found = [item.outcome.payload for item in parse_bundles(name, data) if not isinstance(item.outcome, LamslsaError)]
    return tuple(dict.fromkeys(found))


def _is_payload(data: bytes) -> bool:
    try:
        value = _codec.loads(data, max_bytes=statement.MAX_PAYLOAD_BYTES)
    except FormatError:
        return False
    return isinstance(value, dict) and "_type" in value
