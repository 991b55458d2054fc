"""Reads one entry of ``trust.platforms``: which TEE, how patched, which code, which devices.

Rules:
- What could not refuse anything is refused: terms about a kind of TEE or a device that the platform does not accept, or
  a list of GPUs without what their measurements are compared with.
- Identifiers are compared as they are written, so they are read in the one spelling that claims have.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeVar

from lamslsa._yaml import Node
from lamslsa.evidence.appraise import AdvisoryTerms, Denied, GpuTerms, PlatformTerms
from lamslsa.evidence.appraise.terms import REQUIRED_SNP_VERSIONS, SNP_PRODUCTS, WITH_TCB_STATUS
from lamslsa.evidence.interface import SECURITY_VERSIONS, TEES
from lamslsa.evidence.roots import is_any_vendor_root, load_root
from lamslsa.policy._files import Files
from lamslsa.policy._keys import Keys
from lamslsa.policy.document_trust import AdvisoriesKeys, DeniedKeys, GpuKeys, NoEvidenceKeys, PlatformKeys
from lamslsa.policy.reference_values import CodeReader

__all__ = ["PlatformReader"]

T = TypeVar("T")

_DEFAULT_SIMULATED_TCB: Final = frozenset({"UpToDate"})
_WITH_GPU: Final = frozenset({"tdx", "snp"})
_SNP: Final = frozenset({"snp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformReader:
    """Reads platforms, and gathers the manifests of GPUs that they name."""

    files: Files
    code: CodeReader
    manifests: dict[bytes, None] = field(default_factory=dict)

    def read(self, name: str, keys: PlatformKeys | NoEvidenceKeys) -> PlatformTerms:
        """One platform. Hardware must say what is patched well enough; simulation must pin its roots.

        Raises:
            FormatError: with line and column.
        """
        if isinstance(keys, NoEvidenceKeys):
            return _no_evidence(name)
        tees = frozenset(keys.tee)
        least = self._least(keys, tees)
        for key in ("min_tcb_evaluation_data_number", "advisories", "tcb"):
            _only_with(keys, key, tees, WITH_TCB_STATUS)
        _only_with(keys, "gpu", tees, _WITH_GPU)
        _only_with(keys, "snp_keys", tees, _SNP)
        roots = self._roots(keys, simulated=keys.simulated)
        code = self.code.read(keys, tees=tees)
        return PlatformTerms(
            name=name,
            tee=tees,
            simulated=keys.simulated,
            roots=roots,
            tcb=_tcb(keys, tees),
            code=code,
            unsafe_any_measurement=not code,
            advisories=_advisories(keys.advisories),
            minimum_tcb_evaluation_data_number=keys.min_tcb_evaluation_data_number,
            minimum_svns={tee: least[tee] for tee in TEES if tee in least and tee != "snp"},
            snp_minimum_svns=_snp_minimum_svns(least.get("snp"), keys, needed="snp" in tees and not keys.simulated),
            snp_keys=None if keys.snp_keys is None else frozenset(keys.snp_keys),
            gpu=None if keys.gpu is None else self._gpu(keys.gpu, simulated=keys.simulated),
            platform_ids=None if keys.platform_ids is None else frozenset(keys.platform_ids),
            denied=_denied(keys.deny, tees),
            unsafe_as_of_only=keys.unsafe_as_of_only,
        )

    @staticmethod
    def _least(keys: PlatformKeys, tees: frozenset[str]) -> Mapping[str, Mapping[str, Any]]:
        """Security versions by kind of TEE, each of them one that is accepted."""
        known = [tee for tee in TEES if tee in tees and SECURITY_VERSIONS[tee]]
        for key in keys.min_svns or {}:
            keys.at("min_svns").mapping().entries[key][0].choice(known)
        return keys.min_svns or {}

    def _roots(self, keys: PlatformKeys | GpuKeys, *, simulated: bool) -> frozenset[str]:
        if simulated:
            return frozenset(self._each(keys.node.take("roots"), self._root))
        if keys.roots is not None:
            keys.at("roots").refuse(
                "expected no roots for hardware, whose vendor's root is compiled in, got some",
                reason="policy-root",
                hint="only simulated: true takes roots",
            )
        return frozenset()

    @staticmethod
    def _each(node: Node, load: Callable[[Node], T]) -> tuple[T, ...]:
        """What each file of a list holds; nothing twice."""
        found: dict[T, None] = {}
        for item in node.sequence():
            value = load(item)
            if value in found:
                item.refuse(f"expected each entry once at {node.where}, got one twice", reason="policy-duplicate")
            found[value] = None
        return tuple(found)

    def _root(self, node: Node) -> str:
        root = self.files.load(node, load_root, what="a root certificate")
        if is_any_vendor_root(root.sha256):
            node.refuse(
                "expected the root of a simulated platform, got a vendor's",
                reason="policy-root",
                hint="for hardware leave simulated and roots out",
            )
        return root.sha256

    def _gpu(self, keys: GpuKeys, *, simulated: bool) -> GpuTerms:
        compared = keys.golden_values == "matched"
        terms = GpuTerms(
            architectures=frozenset(keys.architectures),
            minimum=keys.min,
            unsafe_not_compared=not compared,
            drivers=None if keys.drivers is None else frozenset(keys.drivers),
            vbios=None if keys.vbios is None else frozenset(keys.vbios),
            device_ids=None if keys.device_ids is None else frozenset(keys.device_ids),
            roots=self._roots(keys, simulated=simulated),
        )
        if compared and keys.manifests is None:
            keys.at("golden_values").refuse(
                "expected the key 'manifests' with goldenValues: matched, got none: nothing could ever match",
                reason="policy-gpu",
            )
        if keys.manifests is not None:
            self.manifests.update(dict.fromkeys(self._each(keys.at("manifests"), self._manifest)))
        return terms

    def _manifest(self, node: Node) -> bytes:
        from lamslsa.evidence.nvidia import rim

        return self.files.load(
            node, lambda data: rim.parse(data).raw, what="a manifest of a GPU", limit=rim.MAX_MANIFEST_BYTES
        )


def _no_evidence(name: str) -> PlatformTerms:
    """Terms that no quote meets: what counts without one is for the policy to say, never for a quote to gain by."""
    nothing: frozenset[str] = frozenset()
    return PlatformTerms(
        name=name, tee=nothing, simulated=False, roots=nothing, tcb=nothing, code=(), unsafe_no_evidence=True
    )


def _only_with(keys: Keys, field: str, tees: frozenset[str], kinds: frozenset[str]) -> None:
    """Refuse a key that is about kinds of TEE of which none is accepted."""
    node = keys.at(field)
    if node is not keys.node and not tees & kinds:
        key = node.where.rpartition(".")[2]
        node.refuse(
            f"expected no {key} without {' or '.join(sorted(kinds))} in tee, got some", reason="policy-platform"
        )


def _tcb(keys: PlatformKeys, tees: frozenset[str]) -> frozenset[str]:
    if not tees & WITH_TCB_STATUS:
        return frozenset()
    if keys.tcb is None and not keys.simulated:
        keys.node.take("tcb")
    return _DEFAULT_SIMULATED_TCB if keys.tcb is None else frozenset(keys.tcb)


def _denied(keys: DeniedKeys | None, tees: frozenset[str]) -> Denied:
    if keys is None:
        return Denied()
    _only_with(keys, "device_ids", tees, _WITH_GPU)
    return Denied(
        platform_ids=frozenset(keys.platform_ids),
        measurements=frozenset(keys.measurements),
        device_ids=frozenset(keys.device_ids),
    )


def _snp_minimum_svns(
    given: Mapping[str, Mapping[str, int]] | None, keys: PlatformKeys, *, needed: bool
) -> Mapping[str, Mapping[str, int]]:
    """By product line; where they are ``needed`` one of them at least, and each with what AMD leaves open."""
    if given is None:
        if needed:
            _refuse_unset(keys.node, f"minSvns.snp with {', '.join(SNP_PRODUCTS)} or some of them at {keys.node.where}")
        return {}
    for product, value in keys.at("min_svns").mapping().take("snp").mapping():
        missing = [name for name in REQUIRED_SNP_VERSIONS if name not in given[product]]
        if missing and needed:
            _refuse_unset(value, f"{', '.join(missing)} at {value.where}")
    return given


def _refuse_unset(node: Node, expected: str) -> NoReturn:
    node.refuse(
        f"expected {expected}, got none",
        reason="policy-svn",
        hint="the manufacturer does not say which firmware is good enough, so the policy has to",
    )


def _advisories(keys: AdvisoriesKeys | None) -> AdvisoryTerms:
    if keys is None:
        return AdvisoryTerms()
    denied = frozenset(keys.deny)
    if keys.accept is None:
        return AdvisoryTerms(deny=denied)
    accepted: dict[str, dt.datetime] = {}
    for item in keys.accept:
        if item.id in accepted or item.id in denied:
            item.node.refuse(f"expected each advisory once, got {item.id} twice", reason="policy-duplicate")
        accepted[item.id] = item.until
    return AdvisoryTerms(deny=denied, accept=accepted)
