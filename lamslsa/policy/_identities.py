"""Reading who may sign: the identities of a policy file, their credentials, and under which roots of trust.

Rules:
- An identity is one ``key`` or ``keyless``, or several as ``credentials``; each may say when it is valid.
- Two identities never share a credential: separate roles are separate keys, or separate names in certificates.
- Keyless needs an issuer and at least one of ``identity``, ``identityRegex`` and ``repository``.
- The trusted root of Sigstore is the credential's own, or else the policy's, or else the one that the verifier holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from lamslsa._yaml import Node
from lamslsa.errors import FormatError
from lamslsa.policy._files import Files
from lamslsa.policy.document_identities import (
    CredentialKeys,
    IdentityKeys,
    KeylessCredentialKeys,
    KeylessIdentityKeys,
    KeylessKeys,
    SeveralKeys,
)
from lamslsa.policy.identities import Credential, Identity
from lamslsa.sign import KeyVerifier
from lamslsa.sign.interface import BundleVerifier

if TYPE_CHECKING:
    from lamslsa.sign.keyless import SigstoreRoot

__all__ = ["IdentityReader", "load_trusted_root"]

_TERMS: Final = (
    "issuer",
    "identity",
    "identity_regex",
    "repository",
    "repository_id",
    "owner_id",
    "workflow",
    "ref",
    "runner_environment",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityReader:
    """Reads identities.

    Attributes:
        root: under which timestamps, logs and certificates are verified where nothing else is named.
    """

    files: Files
    root: SigstoreRoot
    _owners: dict[object, str] = field(default_factory=dict)

    def read(self, name: str, keys: IdentityKeys | KeylessIdentityKeys | SeveralKeys) -> Identity:
        """One identity, with all of its credentials.

        Raises:
            FormatError: with line and column.
        """
        items = keys.credentials if isinstance(keys, SeveralKeys) else (keys,)
        return Identity(
            credentials=tuple(self._credential(name, item) for item in items),
            require_timestamp=keys.require_timestamp,
            require_log=keys.require_log,
        )

    def _credential(self, name: str, keys: CredentialKeys | KeylessCredentialKeys) -> Credential:
        verifier: BundleVerifier
        root = self.root if keys.trusted_root is None else load_trusted_root(keys.at("trusted_root"), self.files)
        if isinstance(keys, CredentialKeys):
            key = keys.at("key")
            verifier = self.files.load(key, lambda pem: KeyVerifier.load(pem, root), what="a public key")
            self._own(name, key, verifier.key_id)
        else:
            verifier = self._keyless(name, keys.keyless, root)
        start, end, revoked = keys.valid_from, keys.valid_until, keys.revoked_at
        if start is not None and any(time is not None and time <= start for time in (end, revoked)):
            keys.node.refuse(
                "expected validFrom before validUntil and revokedAt, got another order", reason="policy-time"
            )
        return Credential(verifier=verifier, valid_from=start, valid_until=end, revoked_at=revoked)

    def _keyless(self, name: str, keys: KeylessKeys, root: SigstoreRoot) -> BundleVerifier:
        from lamslsa.sign.keyless import KeylessTerms, KeylessVerifier

        try:
            terms = KeylessTerms(**{term: getattr(keys, term) for term in _TERMS})
        except FormatError as err:
            keys.node.refuse(f"{err} at {keys.node.where}", reason=err.reason, hint=err.hint)
        self._own(name, keys.node, replace(terms, repository=_url(terms.repository)))
        return KeylessVerifier(terms=terms, root=root)

    def _own(self, name: str, node: Node, credential: object) -> None:
        """Remember whose credential this is.

        Raises:
            FormatError: somebody else's, or given twice.
        """
        other = self._owners.get(credential)
        if other is not None:
            words = "the same twice" if other == name else f"that of {other!r}"
            node.refuse(
                f"expected a credential of its own for {name!r}, got {words}",
                reason="policy-key-shared",
                hint="separate roles sign with separate keys",
            )
        self._owners[credential] = name


def load_trusted_root(node: Node, files: Files) -> SigstoreRoot:
    """The trusted root in a file that the policy names.

    Raises:
        FormatError: with line and column.
    """
    from lamslsa.sign.keyless.root import MAX_ROOT_BYTES, SigstoreRoot

    return files.load(node, SigstoreRoot.load, what="a Sigstore trusted root", limit=MAX_ROOT_BYTES)


def _url(repository: str | None) -> str | None:
    """The one spelling of a repository, which on GitHub has a short one too."""
    return repository if repository is None or "://" in repository else f"https://github.com/{repository}"
