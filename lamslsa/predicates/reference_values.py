"""Predicate ``https://lamslsa.dev/reference-values/v1``: which code has this measurement, and what it may vouch for.

Normative text: predicates/reference-values/v1/README.md. The subject is a measurement, by its digest; that the parts
have this digest is for `lamslsa.evidence.reference`, which knows the parts of every TEE.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from lamslsa.predicates import dataset, evaluation, inference, model, provenance
from lamslsa.predicates._common import Count, Name, ResourceDescriptor, WireModel

__all__ = [
    "MEASURE_BUILD",
    "MEASURE_VOUCHES",
    "PREDICATE_TYPE",
    "TRAIN_OWN_BUILD",
    "EnclaveBuild",
    "ReferenceValues",
    "VouchesFor",
    "train_own_vouches",
]

PREDICATE_TYPE: Final = "https://lamslsa.dev/reference-values/v1"
MEASURE_BUILD: Final = "measure"
TRAIN_OWN_BUILD: Final = "train-own"

Release = Annotated[str, msgspec.Meta(pattern=r"\A[0-9A-Za-z][0-9A-Za-z.+_-]{0,127}\Z")]
HexBytes = Annotated[str, msgspec.Meta(pattern=r"\A(?:[0-9a-f]{2}){1,64}\Z")]
_Listed = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
_MAX_LISTED: Final = 256
_Sha256 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class EnclaveBuild(WireModel, frozen=True, kw_only=True):
    """How the measured code was built; informative, for whoever builds it again.

    Attributes:
        name: which of the enclave builds: ``measure``, ``train-own``, or another.
        source: where the code is, for example ``git+https://…@<commit>`` in ``uri``.
        materials: what else went in: base image, package lock, the code of the training.
        command: what was run.
    """

    name: Name
    source: ResourceDescriptor | None = None
    materials: Annotated[tuple[ResourceDescriptor, ...], msgspec.Meta(max_length=_MAX_LISTED)] = ()
    command: Annotated[str, msgspec.Meta(max_length=4096)] | None = None


class VouchesFor(WireModel, frozen=True, kw_only=True):
    """What evidence with this measurement may vouch for; each entry is compared as a whole.

    Attributes:
        predicate_types: never empty.
        build_types: of provenance.
        measurers: of everything but provenance, ``<name>/<version>``.
        own_code: digests of training code of users, hexadecimal; what has the build type for that names one of them.
    """

    predicate_types: Annotated[tuple[_Listed, ...], msgspec.Meta(min_length=1, max_length=_MAX_LISTED)]
    build_types: Annotated[tuple[_Listed, ...], msgspec.Meta(max_length=_MAX_LISTED)] = ()
    measurers: Annotated[tuple[_Listed, ...], msgspec.Meta(max_length=_MAX_LISTED)] = ()
    own_code: Annotated[tuple[_Sha256, ...], msgspec.Meta(max_length=_MAX_LISTED)] = ()


class ReferenceValues(WireModel, frozen=True, kw_only=True):
    """The code that the subject, a measurement, identifies.

    Attributes:
        measurement: every part of the measurement, lower-case hexadecimal.
        release: the ``builder.id`` of a provenance under it is ``https://lamslsa.dev/enclave/<release>``.
        minimum_svns: security version numbers below which the measurement counts for nothing.
    """

    tee: Literal["sgx", "tdx", "snp", "nitro"]
    measurement: Annotated[dict[Name, HexBytes], msgspec.Meta(min_length=1, max_length=32)]
    release: Release
    build: EnclaveBuild
    vouches_for: VouchesFor
    minimum_svns: Annotated[dict[Name, Count], msgspec.Meta(max_length=32)] = msgspec.field(default_factory=dict)


MEASURE_VOUCHES: Final = VouchesFor(
    predicate_types=(
        dataset.PREDICATE_TYPE,
        evaluation.PREDICATE_TYPE,
        inference.PREDICATE_TYPE,
        model.PREDICATE_TYPE,
        provenance.PREDICATE_TYPE,
    ),
    build_types=(provenance.TRAINING_BUILD_TYPE, provenance.TRANSFORM_BUILD_TYPE),
    measurers=(
        "tabular-dataset/1",
        "image-dataset/1",
        "text-dataset/1",
        *evaluation.DEFAULT_CONFIGURATIONS,
        "inference/1",
        "model-properties/1",
    ),
)
"""What the build without user code vouches for: every measurer and declarative training of this release."""


def train_own_vouches(code: str) -> VouchesFor:
    """What a build with one user's training code vouches for: trainings by that code and nothing else.

    Args:
        code: digest of the code's manifest, hexadecimal.
    """
    return VouchesFor(
        predicate_types=(provenance.PREDICATE_TYPE,),
        build_types=(provenance.OWN_TRAINING_BUILD_TYPE,),
        own_code=(code,),
    )
