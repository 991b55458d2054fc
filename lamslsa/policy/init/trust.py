"""Whose word counts: what the user says, as the text of ``trust``, and what is read back out of that text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lamslsa import _yaml
from lamslsa.evidence.appraise import PlatformTerms
from lamslsa.policy._files import Files, Read
from lamslsa.policy._identities import IdentityReader, load_trusted_root
from lamslsa.policy._keys import read as read_keys
from lamslsa.policy._platforms import PlatformReader
from lamslsa.policy.document_trust import TrustKeys
from lamslsa.policy.identities import Identity
from lamslsa.policy.init._scalars import comment, flow, scalar
from lamslsa.policy.reference_values import CodeReader

if TYPE_CHECKING:
    from lamslsa.sign.keyless import SigstoreRoot

__all__ = ["IdentityWanted", "PlatformWanted", "Trust", "TrustWanted"]

_SOURCE: Final = "the trust that was asked for"
_SIMULATED: Final = (
    "Simulated: it proves the code paths, and no hardware. For hardware, in place of simulated and roots:",
    "tcb: [UpToDate, SWHardeningNeeded]",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityWanted:
    """Who may sign: a key file, or what a certificate of Sigstore says.

    Attributes:
        key: relative to the policy.
        issuer: goes with ``identity``.
    """

    key: str | None = None
    issuer: str | None = None
    identity: str | None = None

    def text(self) -> str:
        """The identity as YAML."""
        if self.key is not None:
            return flow(key=scalar(self.key))
        return flow(keyless=flow(issuer=scalar(self.issuer or ""), identity=scalar(self.identity or "")))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformWanted:
    """The one platform that every rule asks for.

    Attributes:
        roots: files, of a simulated platform only.
        reference_values: file and name of the identity that signed it.
        minimum_svns: product line to security versions, of SEV-SNP.
    """

    name: str
    tee: str
    simulated: bool = False
    roots: Sequence[str] = ()
    tcb: Sequence[str] = ()
    reference_values: Sequence[tuple[str, str]] = ()
    measurements: Sequence[str] = ()
    minimum_svns: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """The platform as YAML."""
        if self.simulated:
            yield from (f"    {comment(line)}" for line in _SIMULATED)
        yield f"    {self.name}:"
        yield f"      tee: [{self.tee}]"
        if self.simulated:
            yield "      simulated: true"
            yield f"      roots: [{', '.join(map(scalar, self.roots))}]"
        if self.tcb:
            yield f"      tcb: [{', '.join(map(scalar, self.tcb))}]"
        if self.minimum_svns:
            products = {
                product: flow(**{name: str(number) for name, number in sorted(versions.items())})
                for product, versions in sorted(self.minimum_svns.items())
            }
            yield f"      minSvns: {flow(snp=flow(**products))}"
        values = [flow(file=scalar(file), signedBy=scalar(name)) for file, name in self.reference_values]
        if values:
            yield f"      referenceValues: {values[0] if len(values) == 1 else '[' + ', '.join(values) + ']'}"
        if self.measurements:
            quoted = ", ".join(f'"{digest}"' for digest in self.measurements)
            yield f"      measurements: [{quoted}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustWanted:
    """All that a user says before anything is looked at; names are labels, files relative to the policy."""

    identities: Mapping[str, IdentityWanted]
    platform: PlatformWanted
    trusted_root: str | None = None

    @property
    def release_signers(self) -> frozenset[str]:
        """Who signs reference values, and so nothing else."""
        return frozenset(name for _, name in self.platform.reference_values)

    def lines(self, roles: Mapping[str, str]) -> Iterator[str]:
        """``trust`` as YAML, with what each identity signed in comments."""
        yield "trust:"
        if self.trusted_root is not None:
            yield f"  trustedRoot: {scalar(self.trusted_root)}"
        yield "  identities:"
        for name, wanted in sorted(self.identities.items()):
            if name in roles:
                yield f"    {comment(roles[name])}"
            yield f"    {scalar(name)}: {wanted.text()}"
        yield "  platforms:"
        yield from self.platform.lines()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The same, read back: what bundles are verified and judged with."""

    identities: Mapping[str, Identity]
    platform: PlatformTerms

    @classmethod
    def of(cls, wanted: TrustWanted, *, read: Read, directory: Path, root: SigstoreRoot) -> Trust:
        """Read what the policy is going to say.

        Raises:
            FormatError: a name, file or term is not what it should be.
        """
        text = "\n".join(wanted.lines({})) + "\n"
        keys: TrustKeys = read_keys(TrustKeys, _yaml.loads(text.encode(), source=_SOURCE).mapping().take("trust"))
        files = Files(read=lambda path, limit, /: read(directory / path, limit))
        if keys.trusted_root is not None:
            root = load_trusted_root(keys.at("trusted_root"), files)
        reader = IdentityReader(files=files, root=root)
        identities = {name: reader.read(name, item) for name, item in keys.identities.items()}
        platforms = PlatformReader(files=files, code=CodeReader(identities=identities, files=files))
        name = wanted.platform.name
        return cls(identities=identities, platform=platforms.read(name, keys.platforms[name]))
