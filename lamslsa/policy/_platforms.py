"""Reads one entry of ``trust.platforms``: which TEE, how patched, which code, which devices.

Rules:
- What could not refuse anything is refused: terms about a kind of TEE or a device that the platform does not accept, or
  a list of GPUs without what their measurements are compared with.
- Identifiers are compared as they are written, so they are read in the one spelling that claims have.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn

from lamslsa._yaml import Mapping_, Node
from lamslsa.evidence.appraise import AdvisoryTerms, Denied, GpuTerms, PlatformTerms
from lamslsa.evidence.appraise.terms import REQUIRED_SNP_VERSIONS, SNP_PRODUCTS, WITH_TCB_STATUS
from lamslsa.evidence.interface import SECURITY_VERSIONS, TEES
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
_SNP: Final = frozenset({"snp"})
_SNP_KEYS: Final = ("vcek", "vlek")
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
        snp_keys = node.get("snpKeys")
        least = _by_tee(node.get("minSvns"), tees)
        as_of_only = node.get("unsafeAsOfOnly")
        for key in ("minTcbEvaluationDataNumber", "advisories"):
            self._only_with(node, key, tees, WITH_TCB_STATUS)
        self._only_with(node, "gpu", tees, _WITH_GPU)
        self._only_with(node, "snpKeys", tees, _SNP)
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
            minimum_svns={
                tee: _minimums(least[tee], SECURITY_VERSIONS[tee]) for tee in TEES if tee in least and tee != "snp"
            },
            snp_minimum_svns=_snp_minimum_svns(least.get("snp"), node, needed="snp" in tees and not simulated),
            snp_keys=None if snp_keys is None else _values.choices(snp_keys, _SNP_KEYS),
            gpu=None if gpu is None else self._gpu(gpu.mapping(), simulated=simulated),
            platform_ids=None if platform_ids is None else frozenset(_values.each(platform_ids, _identifier)),
            denied=self._denied(node.get("deny"), tees),
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

    def _denied(self, value: Node | None, tees: frozenset[str]) -> Denied:
        if value is None:
            return Denied()
        node = value.mapping()
        self._only_with(node, "deviceIds", tees, _WITH_GPU)
        readers = {"platformIds": _identifier, "measurements": _digest, "deviceIds": _digest}
        found = {
            key: frozenset() if (value := node.get(key)) is None else frozenset(_values.each(value, read))
            for key, read in readers.items()
        }
        node.finish()
        if not any(found.values()):
            node.refuse(f"expected {', '.join(readers)} or some of them at {node.where}, got none", reason="yaml-empty")
        return Denied(
            platform_ids=found["platformIds"], measurements=found["measurements"], device_ids=found["deviceIds"]
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


def _by_tee(given: Node | None, tees: frozenset[str]) -> Mapping[str, Node]:
    known = [tee for tee in TEES if tee in tees and SECURITY_VERSIONS[tee]]
    return {} if given is None else dict(_entries(given, known))


def _snp_minimum_svns(given: Node | None, node: Node, *, needed: bool) -> Mapping[str, Mapping[str, int]]:
    """By product line; where they are ``needed`` one of them at least, and each with what AMD leaves open."""
    if given is None:
        if needed:
            _refuse_unset(node, f"minSvns.snp with {', '.join(SNP_PRODUCTS)} or some of them at {node.where}")
        return {}
    result = {}
    for product, value in _entries(given, SNP_PRODUCTS):
        result[product] = _minimums(value, SNP_PRODUCTS[product])
        missing = [name for name in REQUIRED_SNP_VERSIONS if name not in result[product]]
        if missing and needed:
            _refuse_unset(value, f"{', '.join(missing)} at {value.where}")
    return result


def _refuse_unset(node: Node, expected: str) -> NoReturn:
    node.refuse(
        f"expected {expected}, got none",
        reason="policy-svn",
        hint="the manufacturer does not say which firmware is good enough, so the policy has to",
    )


def _minimums(node: Node, names: Collection[str]) -> Mapping[str, int]:
    return {name: least.integer(minimum=0) for name, least in _entries(node, names)}


def _entries(node: Node, names: Collection[str]) -> Iterator[tuple[str, Node]]:
    """Key and value of a mapping that has one at least, each key one of ``names``."""
    mapping = node.mapping()
    if not mapping.entries:
        mapping.refuse(f"expected at least one entry at {mapping.where}, got none", reason="yaml-empty")
    for key, value in mapping:
        yield mapping.entries[key][0].choice(names), value


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
