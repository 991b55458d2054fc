"""What several parts of the policy file have in common: witnesses, signatures, datasets, and how they were made."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from lamslsa.policy._keys import Keys
from lamslsa.policy._kinds import Age, Digest, Label, License, Measurer

__all__ = ["DatasetKeys", "PreparationKeys", "SignatureKeys", "WitnessKeys"]


class WitnessKeys(Keys, frozen=True, kw_only=True):
    """Whose word counts: who must have signed, and which platform's quote must cover the statement."""

    signed_by: Annotated[
        str, Meta(description="The name of the identity under trust.identities that must have signed.")
    ]
    platform: Annotated[
        str, Meta(description="The name of the platform under trust.platforms whose quote must cover the statement.")
    ]
    max_age: Annotated[
        Age | None, Meta(description="How old the quote may be: a whole number and one of s, m, h, d, such as 90d.")
    ] = None


class SignatureKeys(Keys, frozen=True, kw_only=True):
    """A signature of all files (OpenSSF model signing)."""

    signed_by: Annotated[
        str, Meta(description="The name of the identity under trust.identities that must have signed.")
    ]


class PreparationKeys(WitnessKeys, frozen=True, kw_only=True):
    """How a dataset must have been made out of datasets that are listed."""

    allow: Annotated[
        tuple[Measurer, ...], Meta(description="The transforms that may have made it, as <name>/<version>.")
    ]


class DatasetKeys(Keys, frozen=True, kw_only=True):
    """A dataset. One that stands in several places is declared alike in all of them."""

    name: Annotated[Label, Meta(description="A label: what counts is the digest.")]
    digest: Annotated[Digest, Meta(description="The digest of its manifest, as lamslsa digest prints it.")]
    datasheet: Annotated[
        WitnessKeys, Meta(description="Whose datasheet says how its bytes become rows, and what it holds.")
    ]
    schema: Annotated[
        Digest | None, Meta(description="The only schema that its datasheet may have. Without it, any.")
    ] = None
    signature: Annotated[
        SignatureKeys | None, Meta(description="Who must have signed its files as a whole (OpenSSF model signing).")
    ] = None
    license: Annotated[
        License | None,
        Meta(description="An SPDX license expression, which counts instead of what the datasheet declares."),
    ] = None
    preparation: Annotated[
        PreparationKeys | None, Meta(description="How it must have been made out of other datasets of the list.")
    ] = None
