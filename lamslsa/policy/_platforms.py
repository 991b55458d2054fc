"""Reads one entry of ``trust.platforms``: which TEE, how patched, which code, which devices.

Rules:
- What could not refuse anything is refused: terms about a kind of TEE or a device that the platform does not accept, or
  a list of GPUs without what their measurements are compared with.
- Identifiers are compared as they are written, so they are read in the one spelling that claims have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from lamslsa._yaml import Mapping_, Node
from lamslsa.evidence.appraise import AdvisoryTerms, Denied, GpuTerms, PlatformTerms
from lamslsa.evidence.appraise.terms import REQUIRED_SVNS, WITH_TCB_STATUS
from lamslsa.evidence.interface import SECURITY_VERSIONS, TEES, Tee
from lamslsa.evidence.roots import is_any_vendor_root, load_root
from lamslsa.policy import _values
from lamslsa.policy._files import Files
from lamslsa.policy.reference_values import CodeReader

__all__ = ["PlatformReader"]

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
_WITH_GPU: Final = frozenset({"tdx", "snp"})
_ARCHITECTURES: Final = ("hopper", "blackwell")
_GOLDEN_VALUES: Final = ("matched", "unsafeNotCompared")
_ADVISORY: Final = re.compile(r"INTEL-SA-[0-9]{5}")
_IDENTIFIER: Final = re.compile(r"[0-9a-z][0-9a-z-]{0,255}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformReader:
    """Reads platforms, and gathers the manifests of GPUs that they name."""

    files: Files
    code: CodeReader
    manifests: dict[bytes, None] = field(default_factory=dict)

    def read(self, name: str, node: Mapping_) -> PlatformTerms:
        """One platform. Hardware must say what is patched well enough; simulation must pin its roots.

        Raises:
            FormatError: with line and column.
        """
        tees = _values.choices(node.take("tee"), TEES)
        simulated = _flag(node.get("simulated"))
        number = node.get("minTcbEvaluationDataNumber")
        gpu = node.get("gpu")
        platform_ids = node.get("platformIds")
        denied = node.get("deny")
        as_of_only = node.get("unsafeAsOfOnly")
        for key in ("minTcbEvaluationDataNumber", "advisories"):
            self._only_with(node, key, tees, WITH_TCB_STATUS)
        self._only_with(node, "gpu", tees, _WITH_GPU)
        roots = self._roots(node, simulated=simulated)
        code = self.code.read(node, tees=tees, simulated=simulated)
        terms = PlatformTerms(
            name=name,
            tee=tees,
            simulated=simulated,
            roots=roots,
            tcb=self._tcb(node, tees, simulated=simulated),
            code=code,
            unsafe_any_measurement=not code,
            advisories=_advisories(node.get("advisories")),
            minimum_tcb_evaluation_data_number=None if number is None else number.integer(minimum=1),
            minimum_svns=_minimum_svns(node, tees, simulated=simulated),
            gpu=None if gpu is None else self._gpu(gpu.mapping(), simulated=simulated),
            platform_ids=None if platform_ids is None else frozenset(_values.each(platform_ids, _identifier)),
            denied=Denied() if denied is None else _denied(denied.mapping()),
            unsafe_as_of_only=as_of_only is not None and _unsafe(as_of_only),
        )
        node.finish()
        return terms

    @staticmethod
    def _only_with(node: Mapping_, key: str, tees: frozenset[str], kinds: frozenset[str]) -> None:
        value = node.get(key)
        if value is not None and not tees & kinds:
            value.refuse(
                f"expected no {key} without {' or '.join(sorted(kinds))} in tee, got some", reason="policy-platform"
            )

    def _tcb(self, node: Mapping_, tees: frozenset[str], *, simulated: bool) -> frozenset[str]:
        self._only_with(node, "tcb", tees, WITH_TCB_STATUS)
        if not tees & WITH_TCB_STATUS:
            return frozenset()
        tcb = node.get("tcb") if simulated else node.take("tcb")
        return _DEFAULT_SIMULATED_TCB if tcb is None else _values.choices(tcb, _TCB_STATUSES)

    def _roots(self, node: Mapping_, *, simulated: bool) -> frozenset[str]:
        if simulated:
            return frozenset(_values.each(node.take("roots"), self._root))
        roots = node.get("roots")
        if roots is not None:
            roots.refuse(
                "expected no roots for hardware, whose vendor's root is compiled in, got some",
                reason="policy-root",
                hint="only simulated: true takes roots",
            )
        return frozenset()

    def _root(self, node: Node) -> str:
        root = self.files.load(node, load_root, what="a root certificate")
        if is_any_vendor_root(root.sha256):
            node.refuse(
                "expected the root of a simulated platform, got a vendor's",
                reason="policy-root",
                hint="for hardware leave simulated and roots out",
            )
        return root.sha256

    def _gpu(self, node: Mapping_, *, simulated: bool) -> GpuTerms:
        golden_values = node.take("goldenValues")
        compared = golden_values.choice(_GOLDEN_VALUES) == "matched"
        minimum, manifests = node.get("min"), node.get("manifests")
        lists = {key: node.get(key) for key in ("drivers", "vbios")}
        device_ids = node.get("deviceIds")
        terms = GpuTerms(
            architectures=_values.choices(node.take("architectures"), _ARCHITECTURES),
            minimum=1 if minimum is None else minimum.integer(minimum=1, maximum=64),
            unsafe_not_compared=not compared,
            drivers=_versions(lists["drivers"]),
            vbios=_versions(lists["vbios"]),
            device_ids=None if device_ids is None else frozenset(_values.each(device_ids, _digest)),
            roots=self._roots(node, simulated=simulated),
        )
        if compared and manifests is None:
            golden_values.refuse(
                "expected the key 'manifests' with goldenValues: matched, got none: nothing could ever match",
                reason="policy-gpu",
            )
        if manifests is not None:
            self.manifests.update(dict.fromkeys(_values.each(manifests, self._manifest)))
        node.finish()
        return terms

    def _manifest(self, node: Node) -> bytes:
        from lamslsa.evidence.nvidia import rim

        return self.files.load(
            node, lambda data: rim.parse(data).raw, what="a manifest of a GPU", limit=rim.MAX_MANIFEST_BYTES
        )


def _flag(node: Node | None) -> bool:
    return node is not None and node.boolean()


def _unsafe(node: Node) -> bool:
    """An option that gives something up: written to be true, or left out."""
    if not node.boolean():
        node.refuse("expected true, got false", reason="policy-platform", hint="leave it out instead")
    return True


def _minimum_svns(node: Mapping_, tees: frozenset[str], *, simulated: bool) -> Mapping[str, Mapping[str, int]]:
    given = node.get("minSvns")
    result: dict[str, Mapping[str, int]] = {}
    if given is not None:
        known: dict[str, Tee] = {tee: tee for tee in TEES if tee in tees and SECURITY_VERSIONS[tee]}
        for key, value in _entries(given.mapping()):
            names = SECURITY_VERSIONS[known[given.mapping().entries[key][0].choice(known)]]
            result[key] = {
                value.mapping().entries[name][0].choice(names): least.integer(minimum=0)
                for name, least in _entries(value.mapping())
            }
    for tee in tees & set(REQUIRED_SVNS) if not simulated else ():
        missing = [name for name in REQUIRED_SVNS[tee] if name not in result.get(tee, {})]
        if missing:
            (given or node).refuse(
                f"expected minSvns.{tee} with {', '.join(missing)} at {node.where}, got none",
                reason="policy-svn",
                hint="the manufacturer does not say which firmware is good enough, so the policy has to",
            )
    return result


def _entries(mapping: Mapping_) -> list[tuple[str, Node]]:
    if not mapping.entries:
        mapping.refuse(f"expected at least one entry at {mapping.where}, got none", reason="yaml-empty")
    return list(mapping)


def _advisories(value: Node | None) -> AdvisoryTerms:
    if value is None:
        return AdvisoryTerms()
    node = value.mapping()
    deny, accept = node.get("deny"), node.get("accept")
    node.finish()
    if deny is None and accept is None:
        node.refuse(f"expected deny or accept at {node.where}, got neither", reason="yaml-empty")
    denied = frozenset() if deny is None else frozenset(_values.each(deny, _advisory))
    if accept is None:
        return AdvisoryTerms(deny=denied)
    accepted = {}
    for item in accept.sequence(empty=True):
        entry = item.mapping()
        name, until = _advisory(entry.take("id")), _values.time(entry.take("until"))
        entry.finish()
        if name in accepted or name in denied:
            item.refuse(f"expected each advisory once, got {name} twice", reason="policy-duplicate")
        accepted[name] = until
    return AdvisoryTerms(deny=denied, accept=accepted)


def _denied(node: Mapping_) -> Denied:
    readers = {"platformIds": _identifier, "measurements": _digest, "deviceIds": _digest}
    found = {
        key: frozenset() if (value := node.get(key)) is None else frozenset(_values.each(value, read))
        for key, read in readers.items()
    }
    node.finish()
    if not any(found.values()):
        node.refuse(f"expected {', '.join(readers)} or some of them at {node.where}, got none", reason="yaml-empty")
    return Denied(platform_ids=found["platformIds"], measurements=found["measurements"], device_ids=found["deviceIds"])


def _versions(node: Node | None) -> frozenset[str] | None:
    return None if node is None else frozenset(_values.each(node, _values.text))


def _spelled(node: Node, pattern: re.Pattern[str], what: str) -> str:
    value = node.string()
    if not pattern.fullmatch(value):
        node.refuse(f"expected {what} at {node.where}, got {value[:80]!r}", reason="policy-identifier")
    return value


def _advisory(node: Node) -> str:
    return _spelled(node, _ADVISORY, "an advisory such as INTEL-SA-00615")


def _identifier(node: Node) -> str:
    return _spelled(node, _IDENTIFIER, "an id in lower case, as lamslsa inspect prints it,")


def _digest(node: Node) -> str:
    return _spelled(node, _DIGEST, "64 lower-case hexadecimal digits")
