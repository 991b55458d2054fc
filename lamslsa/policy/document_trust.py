"""What the policy file says under ``trust``: which platforms count, with which code, and whose beacons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Final, Literal

from msgspec import Meta

from lamslsa.evidence.appraise.terms import SNP_PRODUCTS
from lamslsa.evidence.interface import SECURITY_VERSIONS, Tee
from lamslsa.policy._keys import ByKey, Keys, OneOf
from lamslsa.policy._kinds import (
    Advisory,
    CodeDigest,
    Hexadecimal,
    Identifier,
    Label,
    MeasurementDigest,
    Measurer,
    Release,
    Text,
    Time,
    one_of,
    yes,
)
from lamslsa.policy.document_identities import IdentityKeys, KeylessIdentityKeys, SeveralKeys
from lamslsa.predicates import dataset, evaluation, inference, model, provenance

__all__ = [
    "MEASURED",
    "AcceptedAdvisoryKeys",
    "AdvisoriesKeys",
    "DeniedKeys",
    "GpuKeys",
    "NoEvidenceKeys",
    "PlatformKeys",
    "ReferenceValuesKeys",
    "SpelledOutKeys",
    "TimestampAuthorityKeys",
    "TrustKeys",
    "WitnessedLogKeys",
]

MEASURED: Final = (
    dataset.PREDICATE_TYPE,
    evaluation.PREDICATE_TYPE,
    inference.PREDICATE_TYPE,
    model.PREDICATE_TYPE,
)
"""Types of statements that a measurer makes."""


_Count = Annotated[int, Meta(ge=0)]
_File = Annotated[str, Meta(description="A file, relative to the policy.")]


class AcceptedAdvisoryKeys(Keys, frozen=True, kw_only=True):
    """An advisory that may hold for the platform, for a while."""

    id: Annotated[Advisory, Meta(description="Its id, such as INTEL-SA-00615.")]
    until: Annotated[Time, Meta(description="From then on it is refused.")]


class AdvisoriesKeys(Keys, frozen=True, kw_only=True):
    """Advisories of Intel."""

    ONE_OF: ClassVar = (OneOf(reason="yaml-empty", keys=("deny", "accept"), several=True),)

    deny: Annotated[tuple[Advisory, ...], Meta(description="Refused, whatever the TCB status.")] = ()
    accept: Annotated[
        tuple[AcceptedAdvisoryKeys, ...] | None,
        Meta(min_length=0, description="Every advisory that holds for the platform has to be listed; [] accepts none."),
    ] = None


class ReferenceValuesKeys(Keys, frozen=True, kw_only=True):
    """Signed reference values."""

    signed_by: Annotated[str, Meta(description="The identity that must have signed them, and signs nothing else.")]
    file: Annotated[_File, Meta(description="A bundle (*.sigstore.json), or several (*.intoto.jsonl).")]


class SpelledOutKeys(Keys, frozen=True, kw_only=True):
    """A measurement for which the author of the policy vouches."""

    digest: Annotated[MeasurementDigest, Meta(description="The measurement, as lamslsa enclave measurement prints it.")]
    release: Annotated[Release, Meta(description="The release of the code, which is the builder of its provenance.")]
    predicate_types: Annotated[
        tuple[Annotated[str, one_of(*MEASURED, provenance.PREDICATE_TYPE)], ...],
        Meta(description="The types of statements that it may vouch for."),
    ]
    build_types: Annotated[
        tuple[
            Annotated[
                str,
                one_of(
                    provenance.TRAINING_BUILD_TYPE,
                    provenance.OWN_TRAINING_BUILD_TYPE,
                    provenance.TRANSFORM_BUILD_TYPE,
                ),
            ],
            ...,
        ]
        | None,
        Meta(description="With provenance: the kinds of builds."),
    ] = None
    measurers: Annotated[
        tuple[Measurer, ...] | None, Meta(description="With datasheets, evaluations and the like: the measurers.")
    ] = None
    own_code: Annotated[
        tuple[CodeDigest, ...] | None, Meta(description="With own-training/v1: digests of the user's training code.")
    ] = None


class GpuKeys(Keys, frozen=True, kw_only=True):
    """Attached NVIDIA GPUs: each that the quote covers has to meet all of it."""

    architectures: Annotated[tuple[Literal["hopper", "blackwell"], ...], Meta(description="Which are accepted.")]
    golden_values: Annotated[
        Literal["matched", "unsafeNotCompared"],
        Meta(description="Whether measurements have to be those of the manifests."),
    ]
    min: Annotated[int, Meta(ge=1, le=64, description="How many there must be, 1 without it.")] = 1
    manifests: Annotated[
        tuple[_File, ...] | None, Meta(description="NVIDIA's reference manifests of driver and VBIOS, as files.")
    ] = None
    drivers: Annotated[tuple[Text, ...] | None, Meta(description="The only driver versions that are accepted.")] = None
    vbios: Annotated[tuple[Text, ...] | None, Meta(description="The only VBIOS versions that are accepted.")] = None
    device_ids: Annotated[tuple[Hexadecimal, ...] | None, Meta(description="The only devices that are accepted.")] = (
        None
    )
    roots: Annotated[
        tuple[_File, ...] | None, Meta(description="On a simulated platform: the roots of simulated GPUs, as files.")
    ] = None


class DeniedKeys(Keys, frozen=True, kw_only=True):
    """What is refused of a platform whatever else accepts it."""

    ONE_OF: ClassVar = (OneOf(reason="yaml-empty", keys=("platformIds", "measurements", "deviceIds"), several=True),)

    platform_ids: Annotated[tuple[Identifier, ...], Meta(description="Platforms, as lamslsa inspect prints them.")] = ()
    measurements: Annotated[tuple[Hexadecimal, ...], Meta(description="Measurements of enclaves.")] = ()
    device_ids: Annotated[tuple[Hexadecimal, ...], Meta(description="GPUs, with tdx and snp.")] = ()


def _counts(names: Iterable[str]) -> Any:
    return Annotated[dict[str, int], ByKey(dict.fromkeys(names, _Count))]


_Svns = Annotated[
    dict[str, Any],
    ByKey(
        {tee: _counts(names) for tee, names in SECURITY_VERSIONS.items() if names and tee != "snp"}
        | {"snp": Annotated[dict[str, Any], ByKey({line: _counts(names) for line, names in SNP_PRODUCTS.items()})]}
    ),
]


class PlatformKeys(Keys, frozen=True, kw_only=True):
    """A kind of platform: which TEE, how patched, which code, which devices."""

    ONE_OF: ClassVar = (
        OneOf(
            reason="policy-measurement",
            keys=("measurements", "referenceValues", "unsafeAnyMeasurement"),
            hint="lamslsa enclave measurement prints the measurement of this installation",
        ),
    )

    tee: Annotated[tuple[Tee, ...], Meta(description="The kinds that are accepted.")]
    simulated: Annotated[
        bool, Meta(description="A rehearsal: accepts the simulated platforms whose roots are pinned, and no hardware.")
    ] = False
    roots: Annotated[
        tuple[_File, ...] | None, Meta(description="With simulated: the roots of the simulated platforms, as files.")
    ] = None
    tcb: Annotated[
        tuple[
            Literal[
                "UpToDate",
                "SWHardeningNeeded",
                "ConfigurationNeeded",
                "ConfigurationAndSWHardeningNeeded",
                "OutOfDate",
                "OutOfDateConfigurationNeeded",
            ],
            ...,
        ]
        | None,
        Meta(description="Accepted values of Intel's TCB status: needed for hardware with sgx or tdx."),
    ] = None
    reference_values: Annotated[
        ReferenceValuesKeys | tuple[ReferenceValuesKeys, ...] | None,
        Meta(description="Signed reference values: the measurements that are accepted."),
    ] = None
    measurements: Annotated[
        tuple[MeasurementDigest | SpelledOutKeys, ...] | None,
        Meta(description="The measurements that are accepted; on a simulated platform the digest alone will do."),
    ] = None
    unsafe_any_measurement: Annotated[
        bool,
        yes(reason="policy-measurement", hint="list measurements instead"),
        Meta(description="Any code is accepted, and the verdict warns."),
    ] = False
    advisories: Annotated[AdvisoriesKeys | None, Meta(description="Of sgx and tdx.")] = None
    min_tcb_evaluation_data_number: Annotated[
        int | None, Meta(ge=1, description="Of sgx and tdx: of the endorsements of the quote, and of those of now.")
    ] = None
    min_svns: Annotated[_Svns | None, Meta(description="By kind of TEE: the least security versions.")] = None
    snp_keys: Annotated[
        tuple[Literal["vcek", "vlek"], ...] | None,
        Meta(description="Of snp: kinds of keys that sign reports. Without it both."),
    ] = None
    gpu: GpuKeys | None = None
    platform_ids: Annotated[
        tuple[Identifier, ...] | None, Meta(description="The only platforms that are accepted.")
    ] = None
    deny: DeniedKeys | None = None
    unsafe_as_of_only: Annotated[
        bool,
        yes(reason="policy-platform"),
        Meta(description="Gives up the question how the platform stands now; the verdict warns."),
    ] = False


class NoEvidenceKeys(Keys, frozen=True, kw_only=True):
    """No TEE: the signature alone counts, and the verdict says so."""

    MARK: ClassVar = "unsafeNoEvidence"

    unsafe_no_evidence: Annotated[
        bool,
        yes(reason="policy-platform", hint="name a platform with tee instead"),
        Meta(description="No quote is asked for, none is looked at, and the verdict warns."),
    ]


class TimestampAuthorityKeys(Keys, frozen=True, kw_only=True):
    """A timestamp authority (RFC 3161) whose timestamps are beacons."""

    MARK: ClassVar = "timestampAuthority"

    timestamp_authority: Annotated[_File, Meta(description="PEM file with root, intermediates and authority.")]


class WitnessedLogKeys(Keys, frozen=True, kw_only=True):
    """Logs whose witnessed checkpoints are beacons."""

    MARK: ClassVar = "witnessedLog"

    witnessed_log: Annotated[_File, Meta(description="File in the format of c2sp.org/tlog-policy.")]


class TrustKeys(Keys, frozen=True, kw_only=True):
    """Who may sign, from which platforms, and since when evidence can exist."""

    identities: Annotated[
        dict[Label, Annotated[IdentityKeys | KeylessIdentityKeys | SeveralKeys, OneOf(reason="policy-identity")]],
        Meta(description="Who may sign, by the names that the rest of the policy uses."),
    ]
    platforms: Annotated[
        dict[Label, PlatformKeys | NoEvidenceKeys],
        Meta(description="Which platforms count, by the names that the policy uses."),
    ]
    trusted_root: Annotated[_File | None, Meta(description="The trusted root of a Sigstore instance.")] = None
    beacons: Annotated[
        dict[Label, Annotated[TimestampAuthorityKeys | WitnessedLogKeys, OneOf(reason="policy-beacon")]] | None,
        Meta(description="Whose beacons say since when evidence can exist."),
    ] = None
