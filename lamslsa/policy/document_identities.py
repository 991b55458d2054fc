"""Who may sign, as the policy file says it under ``trust.identities``: keys, certificates, and their times."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from lamslsa.policy._keys import Keys, Most, OneOf
from lamslsa.policy._kinds import Number, Term, Time, yes

__all__ = [
    "CredentialKeys",
    "IdentityKeys",
    "KeylessCredentialKeys",
    "KeylessIdentityKeys",
    "KeylessKeys",
    "SeveralKeys",
]

_File = Annotated[str, Meta(description="A file, relative to the policy.")]
_Required = Annotated[bool, yes(reason="policy-identity")]


class KeylessKeys(Keys, frozen=True, kw_only=True):
    """Who a certificate of Sigstore names: every key that is given has to agree."""

    ONE_OF: ClassVar = (
        OneOf(
            reason="terms-open",
            keys=("identity", "identityRegex", "repository"),
            several=True,
            hint="an issuer vouches for everybody who has an account there",
        ),
    )

    issuer: Annotated[Term, Meta(description="The OpenID Connect issuer that vouched for the signer.")]
    identity: Annotated[
        Term | None, Meta(description="The subject exactly as the certificate has it: an e-mail address or a URI.")
    ] = None
    identity_regex: Annotated[Term | None, Meta(description="A pattern that has to match all of the subject.")] = None
    repository: Annotated[Term | None, Meta(description="owner/name on GitHub, or the repository's URL.")] = None
    repository_id: Annotated[
        Number | None, Meta(description="Stays the same when somebody else takes over an abandoned name.")
    ] = None
    owner_id: Annotated[
        Number | None, Meta(description="Stays the same when somebody else takes over an abandoned name.")
    ] = None
    workflow: Annotated[Term | None, Meta(description="The path of the workflow within the repository.")] = None
    ref: Annotated[Term | None, Meta(description="The branch or tag, as the issuer names it.")] = None
    runner_environment: Annotated[Term | None, Meta(description="As the issuer names it.")] = None


class _ValidKeys(Keys, frozen=True, kw_only=True):
    """When a credential is valid, and under which root it is judged."""

    valid_from: Annotated[Time | None, Meta(description="From when signatures count.")] = None
    valid_until: Annotated[Time | None, Meta(description="Until when signatures count.")] = None
    revoked_at: Annotated[Time | None, Meta(description="Until when signatures count, as it turned out.")] = None
    trusted_root: Annotated[
        _File | None, Meta(description="The trusted root of a Sigstore instance under which this one is judged.")
    ] = None


class CredentialKeys(_ValidKeys, frozen=True, kw_only=True):
    """A public key."""

    MARK: ClassVar = "key"

    key: Annotated[_File, Meta(description="File with a public key in PEM, ECDSA on P-256, P-384 or P-521.")]


class KeylessCredentialKeys(_ValidKeys, frozen=True, kw_only=True):
    """Certificates of Sigstore."""

    MARK: ClassVar = "keyless"

    keyless: KeylessKeys


class IdentityKeys(CredentialKeys, frozen=True, kw_only=True):
    """Who signs with one public key."""

    require_timestamp: Annotated[_Required, Meta(description="Only signatures with an RFC 3161 timestamp count.")] = (
        False
    )
    require_log: Annotated[_Required, Meta(description="Only signatures in a transparency log count.")] = False


class KeylessIdentityKeys(KeylessCredentialKeys, frozen=True, kw_only=True):
    """Who signs with certificates of Sigstore."""

    require_timestamp: Annotated[_Required, Meta(description="Only signatures with an RFC 3161 timestamp count.")] = (
        False
    )
    require_log: Annotated[_Required, Meta(description="Only signatures in a transparency log count.")] = False


class SeveralKeys(Keys, frozen=True, kw_only=True):
    """Who signs with several credentials: a signature with any of them counts."""

    MARK: ClassVar = "credentials"

    credentials: Annotated[
        tuple[Annotated[CredentialKeys | KeylessCredentialKeys, OneOf(reason="policy-identity")], ...],
        Most(16, "credentials", reason="policy-identity"),
        Meta(description="Public keys and certificates, each with its own times."),
    ]
    require_timestamp: Annotated[_Required, Meta(description="Only signatures with an RFC 3161 timestamp count.")] = (
        False
    )
    require_log: Annotated[_Required, Meta(description="Only signatures in a transparency log count.")] = False
