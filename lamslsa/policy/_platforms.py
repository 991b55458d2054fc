"""Reads one entry of ``trust.platforms``: which TEE, how patched, which code."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from lamslsa._yaml import Mapping_, Node
from lamslsa.evidence.appraise import PlatformTerms
from lamslsa.evidence.roots import is_vendor_root, load_root

__all__ = ["LoadFile", "read_platform"]

T = TypeVar("T")

_TEES: Final = ("sgx",)
_TCB_STATUSES: Final = (
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
)
"""What Intel's TCB info can say of a platform that is not revoked; revoked is never acceptable."""

_DEFAULT_SIMULATED_TCB: Final = frozenset({"UpToDate"})
_HEX: Final = re.compile(r"[0-9a-f]{64}")


class LoadFile(Protocol):
    """Reads and parses a file that the policy names."""

    def __call__(self, node: Node, parse: Callable[[bytes], T], *, what: str) -> T:
        """The parsed content, or a FormatError that says where the file was named."""
        ...


def read_platform(name: str, node: Mapping_, load: LoadFile) -> PlatformTerms:
    """One platform. Hardware must say which TCB statuses are good enough; simulation must pin its roots.

    Raises:
        FormatError: with line and column.
    """
    tees = _choices(node.take("tee"), _TEES)
    simulated = node.get("simulated")
    is_simulated = simulated is not None and simulated.boolean()
    roots = _roots(node, load) if is_simulated else _no_roots(node)
    tcb = node.get("tcb") if is_simulated else node.take("tcb")
    measurements = _measurements(node)
    node.finish()
    return PlatformTerms(
        name=name,
        tee=tees,
        simulated=is_simulated,
        roots=roots,
        tcb=_DEFAULT_SIMULATED_TCB if tcb is None else _choices(tcb, _TCB_STATUSES),
        measurements=measurements,
        unsafe_any_measurement=measurements is None,
    )


def _choices(node: Node, options: tuple[str, ...]) -> frozenset[str]:
    result: set[str] = set()
    for item in node.sequence():
        value = item.choice(options)
        if value in result:
            item.refuse(f"expected each entry once at {node.where}, got {value!r} twice", reason="policy-duplicate")
        result.add(value)
    return frozenset(result)


def _no_roots(node: Mapping_) -> frozenset[str]:
    roots = node.get("roots")
    if roots is not None:
        roots.refuse(
            "expected no roots for a hardware platform, whose vendor's root is compiled in, got some",
            reason="policy-root",
            hint="only simulated: true takes roots",
        )
    return frozenset()


def _roots(node: Mapping_, load: LoadFile) -> frozenset[str]:
    result: set[str] = set()
    for item in node.take("roots").sequence():
        root = load(item, load_root, what="a root certificate")
        if is_vendor_root(root.sha256):
            item.refuse(
                "expected the root of a simulated platform, got a vendor's",
                reason="policy-root",
                hint="for hardware leave simulated and roots out",
            )
        if root.sha256 in result:
            item.refuse("expected each root once, got one twice", reason="policy-duplicate")
        result.add(root.sha256)
    return frozenset(result)


def _measurements(node: Mapping_) -> frozenset[str] | None:
    """The measurements allowed; None where the author gave that up in so many words."""
    listed, any_ = node.get("measurements"), node.get("unsafeAnyMeasurement")
    if listed is None and any_ is not None:
        if not any_.boolean():
            any_.refuse("expected true, got false", reason="policy-measurement", hint="list measurements instead")
        return None
    if listed is None or any_ is not None:
        node.refuse(
            f"expected either measurements or unsafeAnyMeasurement at {node.where}, "
            f"got {'neither' if listed is None else 'both'}",
            reason="policy-measurement",
            hint="lamslsa enclave measurement prints the measurement of this installation",
        )
    result: set[str] = set()
    for item in listed.sequence():
        value = item.string()
        if not _HEX.fullmatch(value):
            item.refuse(
                f"expected 64 lower-case hexadecimal digits at {item.where}, got {value[:80]!r}",
                reason="policy-measurement",
            )
        if value in result:
            item.refuse("expected each measurement once, got one twice", reason="policy-duplicate")
        result.add(value)
    return frozenset(result)
