"""The policy file, described once: every key with its type, its limits and what it means.

Rules:
- What is written here, and in ``document_*``, is what is read (`lamslsa.policy._keys`), and what editors complete
  and check (`lamslsa.policy._schema`). No other module says which keys there are.
- Names of identities, platforms and datasets, and files, are strings here: where they lead, the readers find out.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

from msgspec import Meta

from lamslsa.policy._keys import Keys, OneOf
from lamslsa.policy._kinds import (
    Age,
    Canonical,
    Digest,
    Hexadecimal,
    Label,
    License,
    LicenseId,
    Measurer,
    PackageName,
    Text,
    Time,
    Versions,
    constant,
)
from lamslsa.policy._schema import made
from lamslsa.policy.document_rules import CelKeys, MetricKeys, OverlapKeys
from lamslsa.policy.document_terms import DatasetKeys, SignatureKeys, WitnessKeys
from lamslsa.policy.document_trust import TrustKeys

__all__ = [
    "API_VERSION",
    "KIND",
    "AdmissionKeys",
    "BaseModelKeys",
    "CodeKeys",
    "DenyKeys",
    "Document",
    "EqualKeys",
    "IngredientsKeys",
    "LicensesKeys",
    "LimitKeys",
    "MetadataKeys",
    "ModelKeys",
    "PackageKeys",
    "SummaryKeys",
    "TrainingKeys",
    "TransformKeys",
    "schema",
]

API_VERSION: Final = "lamslsa.dev/policy/v1"
KIND: Final = "IngredientsPolicy"
_SCHEMA_ID: Final = "https://lamslsa.dev/policy/v1/policy.schema.json"


class MetadataKeys(Keys, frozen=True, kw_only=True):
    """What the policy is called, and when it is in force."""

    name: Annotated[Label, Meta(description="What verdicts call the policy.")]
    description: Annotated[str | None, Meta(description="What it is for, in words.")] = None
    expires: Annotated[Time | None, Meta(description="From then on nothing is accepted.")] = None
    effective_from: Annotated[Time | None, Meta(description="Before it nothing is accepted.")] = None


class DenyKeys(Keys, frozen=True, kw_only=True):
    """What is refused whatever else accepts it."""

    ONE_OF: ClassVar = (
        OneOf(reason="yaml-empty", keys=("artifacts", "attestations", "measurements", "keys"), several=True),
    )

    artifacts: Annotated[
        tuple[Digest, ...],
        Meta(description="Models and datasets, by the digest of their manifest: none may be the model, or in it."),
    ] = ()
    attestations: Annotated[
        tuple[Digest, ...], Meta(description="Statements, by digest: as if they were not there.")
    ] = ()
    measurements: Annotated[
        tuple[Hexadecimal, ...], Meta(description="Enclaves, by measurement: evidence of one counts for nothing.")
    ] = ()
    keys: Annotated[
        tuple[str, ...],
        Meta(
            description="Public keys, as file or as sha256:… of their SubjectPublicKeyInfo: what they sign counts for "
            "nothing."
        ),
    ] = ()


class SummaryKeys(Keys, frozen=True, kw_only=True):
    """A verification summary (SLSA VSA) of a base model that will do instead of appraising it."""

    signed_by: Annotated[str, Meta(description="The name of the identity of the verifier that must have signed it.")]
    verifier: Annotated[Text, Meta(description="The verifier.id that it must state.")]
    policies: Annotated[
        tuple[Digest, ...], Meta(description="The policies, by closure, one of which it must have been made under.")
    ]
    max_age: Annotated[Age, Meta(description="How long ago it may have been made, by a trusted time of its signature.")]


class BaseModelKeys(Keys, frozen=True, kw_only=True):
    """A model that another one may be made of."""

    name: Annotated[Label, Meta(description="A label: what counts is the digest.")]
    digest: Annotated[Digest, Meta(description="The digest of its manifest, as lamslsa digest prints it.")]
    license: Annotated[License | None, Meta(description="The license under which it counts, as SPDX expression.")] = (
        None
    )
    signature: Annotated[
        SignatureKeys | None, Meta(description="Who must have signed its files as a whole (OpenSSF model signing).")
    ] = None
    policy: Annotated[
        str | None,
        Meta(description="The policy that must accept it: a path, or https://…@sha256:… or oci://…@sha256:…"),
    ] = None
    summary: Annotated[
        SummaryKeys | None, Meta(description="The summary that will do. Beside policy, either of them will do.")
    ] = None


class CodeKeys(Keys, frozen=True, kw_only=True):
    """Code that a training or a transform may name among what it was made of."""

    name: Annotated[Label, Meta(description="A label: what counts is the digest.")]
    digest: Annotated[Digest, Meta(description="The digest of the code.")]


class PackageKeys(Keys, frozen=True, kw_only=True):
    """A package that a training or a transform may name among what it was made of."""

    purl: Annotated[PackageName, Meta(description="Its package URL without version, such as pkg:pypi/torch.")]
    version: Annotated[
        Versions | None, Meta(description='The versions that count (PEP 440), such as ">=2.6,<3". Without it, any.')
    ] = None
    digest: Annotated[
        tuple[Digest, ...], Meta(description="Digests of its RECORD, the only ones that count. Without it, any.")
    ] = ()


class LicensesKeys(Keys, frozen=True, kw_only=True):
    """Under which licenses datasets and base models may be."""

    allow: Annotated[
        tuple[LicenseId, ...], Meta(description="SPDX identifiers; with an exception as 'GPL-2.0-only WITH …'.")
    ]


class IngredientsKeys(Keys, frozen=True, kw_only=True):
    """What the model may be made of. Each list is complete: what it does not name is a refusal."""

    datasets: Annotated[tuple[DatasetKeys, ...], Meta(description="What any step may have been trained on.")]
    models: Annotated[tuple[BaseModelKeys, ...], Meta(description="Base models. Without the key, none.")] = ()
    code: Annotated[
        tuple[CodeKeys, ...] | None,
        Meta(description="Code. Without the key, that for which the measurement of the platform vouches."),
    ] = None
    packages: Annotated[
        tuple[PackageKeys, ...] | None,
        Meta(description="Packages. Without the key, those for which the measurement of the platform vouches."),
    ] = None
    licenses: LicensesKeys | None = None


class ModelKeys(Keys, frozen=True, kw_only=True):
    """What is asked of the model at hand itself."""

    signature: Annotated[SignatureKeys, Meta(description="Who must have signed all its files (OpenSSF model signing).")]


class EqualKeys(Keys, frozen=True, kw_only=True):
    """The only value of a parameter that is allowed."""

    MARK: ClassVar = "equals"

    equals: Annotated[Canonical, Meta(description="The value.")]


class LimitKeys(Keys, frozen=True, kw_only=True):
    """Limits of a parameter that is a number."""

    ONE_OF: ClassVar = (OneOf(reason="policy-limits", keys=("min", "max"), several=True),)

    min: Annotated[float | None, Meta(description="The least value that is allowed.")] = None
    max: Annotated[float | None, Meta(description="The greatest value that is allowed.")] = None


class TrainingKeys(WitnessKeys, frozen=True, kw_only=True):
    """Whose provenance of the training counts, and with which parameters."""

    parameters: Annotated[
        dict[Text, Annotated[EqualKeys | LimitKeys, OneOf(reason="policy-limits")]] | None,
        Meta(description="Limits on parameters; privacy.epsilon is a parameter within another."),
    ] = None
    own_code: Annotated[
        Digest | None, Meta(description="The only training code of a user's own that counts, instead of ours.")
    ] = None


class TransformKeys(WitnessKeys, frozen=True, kw_only=True):
    """Whose transforms may lie between training and model."""

    allow: Annotated[tuple[Measurer, ...], Meta(description="The transforms that are allowed, as <name>/<version>.")]


class AdmissionKeys(Keys, frozen=True, kw_only=True):
    """What a cluster does with models that no digest holds."""

    elsewhere: Annotated[
        Literal["refuse", "verifyInPod"],
        Meta(
            description="Of a model on a disk or in a bucket: refuse the Pod, or verify a copy in the Pod before it "
            "starts."
        ),
    ]


class Document(Keys, frozen=True, kw_only=True):
    """The policy: what a model may be made of, who may say so, from which TEE, and which properties must hold."""

    api_version: Annotated[str, constant(API_VERSION, reason="policy-version")]
    kind: Annotated[str, constant(KIND, reason="policy-kind")]
    metadata: MetadataKeys
    trust: TrustKeys
    ingredients: IngredientsKeys
    training: TrainingKeys
    require: Annotated[
        tuple[Annotated[MetricKeys | OverlapKeys | CelKeys, OneOf(reason="policy-rule")], ...],
        Meta(description="What must hold of the model: every rule has to be satisfied."),
    ]
    extends: Annotated[
        tuple[str, ...],
        Meta(
            description="Policies that have to accept the model as well: paths, or https://…@sha256:… or "
            "oci://…@sha256:…"
        ),
    ] = ()
    deny: DenyKeys | None = None
    model: ModelKeys | None = None
    transforms: Annotated[
        TransformKeys | tuple[TransformKeys, ...] | None,
        Meta(description="What may lie between training and model, each by its own signer. Without it, nothing."),
    ] = None
    conflicts: Annotated[
        Literal["refuse", "warn"],
        Meta(description="Whether attestations that tell different stories are a refusal. Without it, a warning."),
    ] = "warn"
    admission: Annotated[
        AdmissionKeys | None, Meta(description="At the gate of a cluster. Without it, models elsewhere are refused.")
    ] = None


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of policy files."""
    return made(Document, title="lamslsa policy: an ML ingredients list", identifier=_SCHEMA_ID)
