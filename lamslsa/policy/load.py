"""From the bytes of a policy file to a `Policy`: strict, and every refusal names file, line and column.

Rules:
- What stands in the file is described in `lamslsa.policy.document`, and read by that description: an unknown key is
  refused, features that do not exist yet included; an empty list is refused where one is needed.
- Every name of an identity, platform or dataset must lead somewhere, and nothing is named or listed twice.
- Two identities never share a credential (`lamslsa.policy._identities`). Who signs reference values signs nothing else.
- Files that the policy names are relative to it; they are read here, up to a limit, and nowhere else. Policies that it
  names are read with it, and none that names itself, in however many steps.
- What would make a rule weaker than it looks is refused: a lower limit compared with the upper end of the interval, a
  simulated platform under a vendor's root, a measurer without a default that has no configuration.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lamslsa import _codec, _yaml
from lamslsa._yaml import Node
from lamslsa.errors import FormatError
from lamslsa.evidence.beacon import TimestampAuthority, WitnessedLog
from lamslsa.evidence.verify import BeaconVerifier
from lamslsa.policy._files import Files, PolicyFile, Read, Sources, local_policy, read_file
from lamslsa.policy._identities import IdentityReader, load_trusted_root
from lamslsa.policy._keys import read as read_document
from lamslsa.policy._load_rules import RuleReader
from lamslsa.policy._load_terms import TermsReader
from lamslsa.policy._platforms import PlatformReader
from lamslsa.policy.document import API_VERSION, KIND, DenyKeys, Document, MetadataKeys, TransformKeys
from lamslsa.policy.document_trust import TimestampAuthorityKeys, TrustKeys, WitnessedLogKeys
from lamslsa.policy.identities import Identity
from lamslsa.policy.model import Deny, Policy, TransformTerms
from lamslsa.policy.reference_values import CodeReader
from lamslsa.sign import KeyVerifier

if TYPE_CHECKING:
    from lamslsa.sign.keyless import SigstoreRoot

__all__ = ["API_VERSION", "KIND", "closure_of", "load_policy"]

_MAX_NESTED: Final = 16
_KEY_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")


def load_policy(
    data: bytes,
    *,
    source: str,
    directory: Path,
    read: Read = read_file,
    trusted_root: SigstoreRoot | None = None,
    sources: Sources = local_policy,
) -> Policy:
    """Read a policy.

    Args:
        data: the YAML file.
        source: what messages call it.
        directory: what the files it names are relative to.
        read: how they are read.
        trusted_root: of Sigstore, where the policy names none; by default the public-good instance's, as embedded.
        sources: finds the policies that it names; by default those in files, and nothing is fetched.

    Raises:
        FormatError: the file, or one that it names, is not what it should be; with line and column.
    """
    file = PolicyFile(data=data, source=source, directory=directory, read=read)
    return _Loader(sources=sources, trusted_root=trusted_root, file=file).load()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loader:
    """Reads one policy, and by others like itself those that it names.

    Attributes:
        within: SHA-256 of the policies that led here.
        _seen, _policies: what this policy names, by name: SHA-256 of files, closures of policies.
        _known: every policy that was read, so that one that many others name is read once.
    """

    sources: Sources
    trusted_root: SigstoreRoot | None
    file: PolicyFile
    within: tuple[str, ...] = ()
    _seen: dict[str, str] = field(default_factory=dict)
    _policies: dict[str, str] = field(default_factory=dict)
    _known: dict[tuple[str, str, Path], Policy] = field(default_factory=dict)

    def load(self) -> Policy:
        document: Document = read_document(Document, _yaml.loads(self.file.data, source=self.file.source))
        _refuse_never(document.metadata)
        files = Files(read=self._remember)
        identities = self._identities(document.trust, files)
        code = CodeReader(identities=identities, files=files)
        platforms = PlatformReader(files=files, code=code)
        terms = TermsReader(
            identities=identities,
            platforms={name: platforms.read(name, keys) for name, keys in document.trust.platforms.items()},
            nested=self._nested,
        )
        ingredients = terms.ingredients(document.ingredients)
        rules = RuleReader(terms=terms, ingredients={item.name: item for item in ingredients.datasets})
        policy = Policy(
            name=document.metadata.name,
            sha256=self._sha256,
            closure="",
            expires=document.metadata.expires,
            effective_from=document.metadata.effective_from,
            identities=identities,
            platforms=terms.platforms,
            ingredients=ingredients,
            training=terms.training(document.training),
            transforms=_transforms(terms, document),
            require=rules.read(document.require),
            extends=tuple(self._nested(node) for node in document.at("extends").sequence()) if document.extends else (),
            deny=Deny() if document.deny is None else _deny(document.deny, files),
            refuse_conflicts=document.conflicts == "refuse",
            verify_in_pod=document.admission is not None and document.admission.elsewhere == "verifyInPod",
            beacons=tuple(_beacon(keys, files) for keys in (document.trust.beacons or {}).values()),
            manifests=tuple(platforms.manifests),
            model_signed_by=None if document.model is None else terms.signature(document.model.signature),
            reference_signatures=tuple(code.signatures),
        )
        code.refuse_shared_signers(policy.signers)
        return replace(policy, closure=self._closure())

    @property
    def _sha256(self) -> str:
        return _codec.sha256_hex(self.file.data)

    def _closure(self) -> str:
        return closure_of(self._sha256, self._seen, self._policies)

    def _remember(self, path: Path, limit: int, /) -> bytes:
        content = self.file.read(self.file.directory / path, limit)
        sha256 = _codec.sha256_hex(content)
        if self._seen.setdefault(path.as_posix(), sha256) != sha256:
            # the closure has one digest for each name: other bytes a second time would be in no digest
            raise FormatError("expected the same bytes wherever it is named, got others", reason="policy-file")
        return content

    def _identities(self, trust: TrustKeys, files: Files) -> Mapping[str, Identity]:
        if trust.trusted_root is not None:
            root = load_trusted_root(trust.at("trusted_root"), files)
        else:
            root = self.trusted_root or _embedded()
        reader = IdentityReader(files=files, root=root)
        return {name: reader.read(name, keys) for name, keys in trust.identities.items()}

    def _nested(self, node: Node) -> Policy:
        """The policy that a node names. Its files and policies are part of what this one says."""
        name = node.string()
        within = (*self.within, self._sha256)
        if len(within) > _MAX_NESTED:
            node.refuse(f"expected at most {_MAX_NESTED} policies within each other, got more", reason="policy-cycle")
        try:
            file = self.sources(name, directory=self.file.directory, read=self.file.read)
        except (OSError, ValueError) as err:
            node.refuse(
                f"expected a policy at {node.where}, got {name[:200]!r}, which cannot be read: {type(err).__name__}",
                reason="policy-file",
                hint="files are relative to the policy",
            )
        except FormatError as err:
            node.refuse(f"expected a policy at {node.where}: {err}", reason=err.reason, hint=err.hint)
        if _codec.sha256_hex(file.data) in within:
            node.refuse(f"expected a policy that does not include itself, got {name[:200]!r}", reason="policy-cycle")
        key = (_codec.sha256_hex(file.data), file.source, file.directory)
        try:
            if key not in self._known:
                self._known[key] = replace(self, file=file, within=within, _seen={}, _policies={}).load()
            policy = self._known[key]
            if file.check is not None:
                file.check(policy)
        except FormatError as err:
            node.refuse(f"expected a policy, got {name[:200]!r}: {err}", reason=err.reason, hint=err.hint)
        if self._policies.setdefault(name, policy.closure) != policy.closure:
            node.refuse(f"expected the same policy wherever {name[:200]!r} stands, got another", reason="policy-file")
        return policy


def closure_of(sha256: str, files: Mapping[str, str], policies: Mapping[str, str]) -> str:
    """The digest of a policy with all that it names: see `lamslsa.policy.model.Policy.closure`.

    Args:
        sha256: of the policy file.
        files: SHA-256 of each file, by path relative to the policy.
        policies: closure of each policy that it names, by the name that it has there.
    """
    named = {"policies": policies} if policies else {}
    return _codec.sha256_hex(_codec.canonical({"policy": sha256, "files": files, **named}))


def _embedded() -> SigstoreRoot:
    from lamslsa.sign.keyless import SigstoreRoot

    return SigstoreRoot.embedded()


def _refuse_never(keys: MetadataKeys) -> None:
    """Return if there is a time at which the policy is in force."""
    if keys.expires is not None and keys.effective_from is not None and keys.expires <= keys.effective_from:
        keys.at("effective_from").refuse(
            "expected effectiveFrom before expires, got another order", reason="policy-time"
        )


def _transforms(terms: TermsReader, document: Document) -> tuple[TransformTerms, ...]:
    """Whose transforms may lie between training and model; without the key, nobody's."""
    given = document.transforms or ()
    return tuple(terms.transform(keys) for keys in ((given,) if isinstance(given, TransformKeys) else given))


def _deny(keys: DenyKeys, files: Files) -> Deny:
    denied = zip(keys.keys, keys.at("keys").sequence(), strict=True) if keys.keys else ()
    return Deny(
        artifacts=frozenset(keys.artifacts),
        attestations=frozenset(keys.attestations),
        measurements=frozenset(keys.measurements),
        keys=frozenset(_key(value, node, files) for value, node in denied),
    )


def _key(value: str, node: Node, files: Files) -> str:
    """SHA-256 of a public key (DER SubjectPublicKeyInfo), by itself or of the key in a file."""
    digest = _KEY_DIGEST.fullmatch(value)
    if digest is not None:
        return digest[1]
    if value.startswith("sha256:"):
        node.refuse(f"expected 64 lower-case hexadecimal digits at {node.where}, got {value[:80]!r}", reason="digest")
    return files.load(node, lambda pem: base64.b64decode(KeyVerifier.load(pem).key_id).hex(), what="a public key")


def _beacon(keys: TimestampAuthorityKeys | WitnessedLogKeys, files: Files) -> BeaconVerifier:
    """A source of beacons; its name is a label for readers of the policy."""
    if isinstance(keys, TimestampAuthorityKeys):
        node = keys.at("timestamp_authority")
        return files.load(node, TimestampAuthority.load, what="certificates of a timestamp authority")
    return files.load(keys.at("witnessed_log"), WitnessedLog.load, what="logs and witnesses")
