"""Launch values: a measurement that somebody computed from firmware, kernel or image, given part by part.

The file is JSON with two keys: ``tee``, and ``measurement`` with parts in lower-case hexadecimal, spelled as in a
reference value (predicates/reference-values/v1). It may leave parts out, to be given beside it.

>>> parse(b'{"tee": "snp", "measurement": {"vmpl": "00000000"}}').parts["vmpl"]
'00000000'
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from lamslsa import _codec
from lamslsa.errors import FormatError
from lamslsa.evidence.interface import MEASUREMENT_PARTS, Tee
from lamslsa.evidence.reference import Proposal
from lamslsa.predicates._common import convert

__all__ = ["MAX_LAUNCH_BYTES", "parse"]

MAX_LAUNCH_BYTES: Final = 64 * 1024


class _Launch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tee: Tee
    measurement: Annotated[dict[str, str], msgspec.Meta(max_length=32)]


def parse(data: bytes) -> Proposal:
    """Read a file of launch values.

    Raises:
        FormatError: not such a file, or a part that this kind of TEE does not have.
    """
    launch = convert(_codec.loads(data, max_bytes=MAX_LAUNCH_BYTES), _Launch, what="file of launch values")
    unknown = [name for name in launch.measurement if name not in MEASUREMENT_PARTS[launch.tee]]
    if unknown:
        raise FormatError(
            f"expected parts of a measurement of {launch.tee}: {', '.join(MEASUREMENT_PARTS[launch.tee])}; "
            f"got {unknown[0][:80]!r}",
            reason="measurement-part-unknown",
        )
    return Proposal(tee=launch.tee, parts=launch.measurement)
