"""What a policy asks of a platform, and what a refusal says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

__all__ = [
    "REQUIRED_SNP_VERSIONS",
    "SNP_PRODUCTS",
    "WITH_TCB_STATUS",
    "AcceptedCode",
    "AdvisoryTerms",
    "Denied",
    "GpuTerms",
    "PlatformTerms",
    "Refusal",
    "Vouched",
    "Vouches",
]

WITH_TCB_STATUS: Final = frozenset({"sgx", "tdx"})
"""Kinds of TEE whose manufacturer states a TCB status, advisories and a number of the evaluation."""

REQUIRED_SNP_VERSIONS: Final = ("bootloader", "tee", "snp", "microcode")
"""Security versions of SEV-SNP that a policy has to put a minimum on, since AMD does not say which are good enough."""

SNP_PRODUCTS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "milan": REQUIRED_SNP_VERSIONS,
        "genoa": REQUIRED_SNP_VERSIONS,
        "turin": (*REQUIRED_SNP_VERSIONS, "fmc"),
    }
)
"""Product lines of SEV-SNP, `Claims.product` in lower case, and the security versions of each.

AMD counts these for each line by itself: a number that is good enough on one says nothing of another.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouches:
    """What a measurement may vouch for, each entry compared as a whole.

    Attributes:
        build_types: of provenance.
        measurers: of everything but provenance, ``<name>/<version>``.
        own_code: digests of the training code of users that the measurement covers.
    """

    predicate_types: frozenset[str]
    build_types: frozenset[str] = frozenset()
    measurers: frozenset[str] = frozenset()
    own_code: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """What the covered statement is.

    Attributes:
        build_type: None unless it is provenance.
        measurer: ``<name>/<version>``; None for provenance.
        builder: ``builder.id``; None unless it is provenance.
        own_code: digests of the training code of a user's own that a provenance says was run.
    """

    predicate_type: str
    build_type: str | None = None
    measurer: str | None = None
    builder: str | None = None
    own_code: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedCode:
    """A measurement that a policy accepts.

    Attributes:
        measurement: its digest (`Claims.measurement_digest`).
        tee: the kind of TEE; None where the digest alone is named, which covers the kind.
        release: the builder of a provenance has to be this one's.
        vouches: None where the digest alone is named: everything, and on a simulated platform only.
        minimum_svns: below these the measurement counts for nothing.
    """

    measurement: str
    tee: str | None = None
    release: str | None = None
    vouches: Vouches | None = None
    minimum_svns: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvisoryTerms:
    """What a policy says of security advisories.

    Attributes:
        deny: refused.
        accept: with it, every advisory that holds for the platform has to be listed, and its date not be past.
    """

    deny: frozenset[str] = frozenset()
    accept: Mapping[str, dt.datetime] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuTerms:
    """What a policy asks of attached GPUs: all of them meet it, and there are enough.

    Attributes:
        minimum: how many at least.
        unsafe_not_compared: GPUs whose measurements nothing was compared with are accepted.
        drivers: accepted driver versions; None accepts all, as with the lists after it.
        roots: fingerprints of the pinned roots of simulated GPUs.
    """

    architectures: frozenset[str]
    minimum: int = 1
    unsafe_not_compared: bool = False
    drivers: frozenset[str] | None = None
    vbios: frozenset[str] | None = None
    device_ids: frozenset[str] | None = None
    roots: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """What is refused whatever else accepts it."""

    platform_ids: frozenset[str] = frozenset()
    measurements: frozenset[str] = frozenset()
    device_ids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformTerms:
    """What a policy asks of a platform.

    Attributes:
        name: what the policy calls it.
        tee: accepted kinds of TEE.
        simulated: whether this is a rehearsal on the simulated platform.
        roots: SHA-256 fingerprints of the pinned roots. Required with ``simulated``; hardware has the vendors' roots,
            which pins may narrow down.
        tcb: accepted values of tcbStatus, where there is one (`WITH_TCB_STATUS`).
        code: accepted measurements; empty accepts none.
        unsafe_any_measurement: with ``code`` empty, any code is accepted, and vouches for everything.
        minimum_tcb_evaluation_data_number: of the endorsements as of the quote, and of those of now.
        minimum_svns: by kind of TEE and name (`SECURITY_VERSIONS`); for SEV-SNP there is `snp_minimum_svns`.
        snp_minimum_svns: by product line and name (`SNP_PRODUCTS`). Other product lines are not accepted; with none at
            all every one is on a simulated platform, and none as hardware.
        snp_keys: accepted values of `Claims.signing_key` of SEV-SNP; None accepts all.
        platform_ids: accepted platforms; None accepts all. The instance of a Nitro enclave stands for all its enclaves.
        unsafe_as_of_only: how the platform stands now is not asked.
        unsafe_no_evidence: no evidence is asked for, and none is looked at: the signature alone counts. Nothing else is
            set then, so that no quote could be accepted under these terms.
    """

    name: str
    tee: frozenset[str]
    simulated: bool
    roots: frozenset[str]
    tcb: frozenset[str]
    code: tuple[AcceptedCode, ...]
    unsafe_any_measurement: bool = False
    advisories: AdvisoryTerms = AdvisoryTerms()
    minimum_tcb_evaluation_data_number: int | None = None
    minimum_svns: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    snp_minimum_svns: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    snp_keys: frozenset[str] | None = None
    gpu: GpuTerms | None = None
    platform_ids: frozenset[str] | None = None
    denied: Denied = Denied()
    unsafe_as_of_only: bool = False
    unsafe_no_evidence: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a platform is not acceptable, and what would mend it."""

    reason: str
    message: str
    mend: str
