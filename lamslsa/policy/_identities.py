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

from lamslsa._yaml import Mapping_, Node
from lamslsa.errors import FormatError
from lamslsa.policy import _values
from lamslsa.policy._files import Files
from lamslsa.policy.identities import Credential, Identity
from lamslsa.sign import KeyVerifier
from lamslsa.sign.interface import BundleVerifier

if TYPE_CHECKING:
    from lamslsa.sign.keyless import SigstoreRoot

__all__ = ["IdentityReader", "load_trusted_root"]

_WAYS: Final = ("key", "keyless", "credentials")
_MAX_CREDENTIALS: Final = 16
_MAX_TEXT: Final = 512
_TERMS: Final = {
    "identity": "identity",
    "identityRegex": "identity_regex",
    "repository": "repository",
    "repositoryId": "repository_id",
    "ownerId": "owner_id",
    "workflow": "workflow",
    "ref": "ref",
    "runnerEnvironment": "runner_environment",
}
_NUMBERS: Final = frozenset({"repositoryId", "ownerId"})


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityReader:
    """Reads identities.

    Attributes:
        root: under which timestamps, logs and certificates are verified where nothing else is named.
    """

    files: Files
    root: SigstoreRoot
    _owners: dict[object, str] = field(default_factory=dict)

    def read(self, name: str, node: Mapping_) -> Identity:
        """One identity, with all of its credentials.

        Raises:
            FormatError: with line and column.
        """
        ways = [way for way in _WAYS if way in node]
        if len(ways) != 1:
            node.refuse(
                f"expected exactly one of {', '.join(_WAYS)} at {node.where}, got {' and '.join(ways) or 'none'}",
                reason="policy-identity",
            )
        if ways == ["credentials"]:
            items = [item.mapping() for item in node.take("credentials").sequence()]
            if len(items) > _MAX_CREDENTIALS:
                node.refuse(
                    f"expected at most {_MAX_CREDENTIALS} credentials, got {len(items)}", reason="policy-identity"
                )
        else:
            items = [node]
        credentials = tuple(self._credential(name, item) for item in items)
        required = {key: node.get(key) for key in ("requireTimestamp", "requireLog")}
        for item in (*items, node):
            item.finish()
        return Identity(
            credentials=credentials,
            require_timestamp=_flag(required["requireTimestamp"]),
            require_log=_flag(required["requireLog"]),
        )

    def _credential(self, name: str, node: Mapping_) -> Credential:
        if ("key" in node) == ("keyless" in node):
            got = "both" if "key" in node else "neither"
            node.refuse(f"expected either key or keyless at {node.where}, got {got}", reason="policy-identity")
        verifier: BundleVerifier
        root = self._root(node.get("trustedRoot"))
        if "key" in node:
            key = node.take("key")
            verifier = self.files.load(key, lambda pem: KeyVerifier.load(pem, root), what="a public key")
            self._own(name, key, verifier.key_id)
        else:
            verifier = self._keyless(name, node.take("keyless").mapping(), root)
        times = {key: node.get(key) for key in ("validFrom", "validUntil", "revokedAt")}
        start, end, revoked = (None if time is None else _values.time(time) for time in times.values())
        if start is not None and any(time is not None and time <= start for time in (end, revoked)):
            node.refuse("expected validFrom before validUntil and revokedAt, got another order", reason="policy-time")
        return Credential(verifier=verifier, valid_from=start, valid_until=end, revoked_at=revoked)

    def _keyless(self, name: str, node: Mapping_, root: SigstoreRoot) -> BundleVerifier:
        from lamslsa.sign.keyless import KeylessTerms, KeylessVerifier

        issuer = _text(node.take("issuer"))
        given = {key: value for key in _TERMS if (value := node.get(key)) is not None}
        node.finish()
        fields = {_TERMS[key]: _number(value) if key in _NUMBERS else _text(value) for key, value in given.items()}
        try:
            terms = KeylessTerms(issuer=issuer, **fields)
        except FormatError as err:
            node.refuse(f"{err} at {node.where}", reason=err.reason, hint=err.hint)
        self._own(name, node, replace(terms, repository=_url(terms.repository)))
        return KeylessVerifier(terms=terms, root=root)

    def _root(self, node: Node | None) -> SigstoreRoot:
        if node is None:
            return self.root
        return load_trusted_root(node, self.files)

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


def _flag(node: Node | None) -> bool:
    if node is None:
        return False
    if not node.boolean():
        node.refuse("expected true, or the key left out, got false", reason="policy-identity")
    return True


def _text(node: Node) -> str:
    value = node.string()
    if not value or len(value) > _MAX_TEXT or not value.isprintable():
        node.refuse(
            f"expected 1 to {_MAX_TEXT} printable characters at {node.where}, got others", reason="policy-identity"
        )
    return value


def _number(node: Node) -> str:
    """An id of the host of a repository: digits, quoted or not."""
    value = node.plain()
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not text.isdecimal() or not text.isascii() or len(text) > 20:
        node.refuse(f"expected a number at {node.where}, got {value!r:.80}", reason="policy-identity")
    return text
