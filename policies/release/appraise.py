# ruff: noqa: INP001, T201 - a script beside its policy, and no package
"""Appraise a wheel of lamslsa against the policy of its releases: where it was built, of what, and who says so.

    gh attestation download lamslsa-0.2.0-py3-none-any.whl --repo lamslsa/lamslsa       # writes sha256:….jsonl
    python policies/release/appraise.py lamslsa-0.2.0-py3-none-any.whl --provenance sha256:….jsonl

It takes what `lamslsa verify` takes to decide who signed: the terms of an identity in a policy, and Sigstore's root as
it came with this installation. It needs no network. A policy of models cannot say the rest, since a wheel is no model
and its builder no TEE.

It is one file on purpose: `python -I` runs it, which finds no module that lies beside it.

Rules:
- One bundle has to satisfy everything; the others count for nothing, and refuse nothing.
- What the certificate says of the run is GitHub's word. The predicate is the word of the run: it has to say the same.
- The tag is the one that the name of the wheel says, so that no version is built of another one's tag.

Exit codes: 0 accepted, 2 usage, 3 a file cannot be read, 4 nothing authentic, 5 authentic and refused.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec

from lamslsa import _files, _yaml, statement
from lamslsa.errors import FormatError, LamslsaError, PolicyError, VerificationError
from lamslsa.policy._files import Files, read_file
from lamslsa.policy._identities import IdentityReader, load_trusted_root
from lamslsa.policy._keys import Keys
from lamslsa.policy._keys import read as read_keys
from lamslsa.policy.document_identities import KeylessIdentityKeys
from lamslsa.policy.identities import Identity
from lamslsa.sign import parse_bundles
from lamslsa.sign.interface import Envelope
from lamslsa.sign.keyless import FulcioIdentity, SigstoreRoot

PROVENANCE: Final = "https://slsa.dev/provenance/v1"
_MAX_BYTES: Final = 64 * 1024 * 1024
_WHEEL: Final = re.compile(r"(?P<name>[a-z0-9_]+)-(?P<version>[0-9][0-9a-z.]*)-py3-none-any\.whl")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_NUMBER: Final = re.compile(r"[0-9]{1,20}")


class _TrustKeys(Keys, frozen=True, kw_only=True):
    identities: dict[str, KeylessIdentityKeys]
    trusted_root: str | None = None


class _WheelKeys(Keys, frozen=True, kw_only=True):
    distribution: str
    tag_prefix: str


class _ProvenanceKeys(Keys, frozen=True, kw_only=True):
    signed_by: str
    build_type: str
    events: tuple[str, ...]


class _MetadataKeys(Keys, frozen=True, kw_only=True):
    name: str


class _Document(Keys, frozen=True, kw_only=True):
    api_version: Literal["lamslsa.dev/release/v1"]
    kind: Literal["ReleasePolicy"]
    metadata: _MetadataKeys
    trust: _TrustKeys
    wheel: _WheelKeys
    provenance: _ProvenanceKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePolicy:
    """What has to be known of a wheel before it is released.

    Attributes:
        signer: who must have signed the provenance.
        root: under which Sigstore.
        distribution: the project in the name of the wheel.
        tag_prefix: what stands before its version in the tag.
        build_type: of the provenance.
        events: that may start a run.
    """

    name: str
    signer: Identity
    root: SigstoreRoot
    distribution: str
    tag_prefix: str
    build_type: str
    events: tuple[str, ...]


class Run(NamedTuple):
    """The run that has to have built the wheel, as far as it is known; None asks for nothing.

    Attributes:
        commit: of the source, hexadecimal.
        repository_id: GitHub's number of the repository, which outlives its name.
    """

    commit: str | None = None
    repository_id: str | None = None


class Wheel(NamedTuple):
    """A wheel by the name of its file, its version and its SHA-256."""

    file: str
    version: str
    sha256: str


class _Workflow(msgspec.Struct, frozen=True):
    ref: str
    repository: str
    path: str


class _ExternalParameters(msgspec.Struct, frozen=True):
    workflow: _Workflow


class _GitHub(msgspec.Struct, frozen=True):
    event_name: str
    repository_id: str
    runner_environment: str


class _InternalParameters(msgspec.Struct, frozen=True):
    github: _GitHub


class _GitCommit(msgspec.Struct, frozen=True, rename="camel"):
    git_commit: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{40}\Z")]


class _Source(msgspec.Struct, frozen=True):
    uri: str
    digest: _GitCommit


class _BuildDefinition(msgspec.Struct, frozen=True, rename="camel"):
    build_type: str
    external_parameters: _ExternalParameters
    internal_parameters: _InternalParameters
    resolved_dependencies: Annotated[tuple[_Source, ...], msgspec.Meta(min_length=1, max_length=1)]


class _Builder(msgspec.Struct, frozen=True):
    id: str


class _RunDetails(msgspec.Struct, frozen=True):
    builder: _Builder


class _Provenance(msgspec.Struct, frozen=True, rename="camel"):
    """The part of SLSA provenance v1 that actions/attest-build-provenance writes; what is beside it is ignored.

    Spec: https://actions.github.io/buildtypes/workflow/v1
    """

    build_definition: _BuildDefinition
    run_details: _RunDetails


def load(path: Path) -> ReleasePolicy:
    """Read the policy.

    Raises:
        FormatError: with line and column.
        OSError: it cannot be read.
    """
    files = Files(read=lambda name, limit: read_file(path.parent / name, limit))
    data = _files.read_regular(path, what="policy", limit=_yaml.MAX_YAML_BYTES)
    document: _Document = read_keys(_Document, _yaml.loads(data, source=str(path)))
    trust = document.trust
    named = trust.trusted_root is not None
    root = load_trusted_root(trust.at("trusted_root"), files) if named else SigstoreRoot.embedded()
    signer, keys = document.provenance.signed_by, trust.identities.get(document.provenance.signed_by)
    if keys is None or len(trust.identities) != 1:
        document.provenance.at("signed_by").refuse(
            f"expected the one identity of this policy, got {signer[:80]!r} of {len(trust.identities)}",
            reason="policy-identity",
        )
    if keys.trusted_root is not None:
        keys.at("trusted_root").refuse("expected trustedRoot under trust, got one here", reason="policy-identity")
    return ReleasePolicy(
        name=document.metadata.name,
        signer=IdentityReader(files=files, root=root).read(signer, keys),
        root=root,
        distribution=document.wheel.distribution,
        tag_prefix=document.wheel.tag_prefix,
        build_type=document.provenance.build_type,
        events=document.provenance.events,
    )


def measure(path: Path, policy: ReleasePolicy) -> Wheel:
    """The wheel in a file.

    Raises:
        FormatError: its name is not that of a wheel of this project.
        OSError: it cannot be read.
    """
    found = _WHEEL.fullmatch(path.name)
    if found is None or found["name"] != policy.distribution:
        raise FormatError(
            f"expected a wheel of {policy.distribution} for every machine, got {path.name[:120]!r}",
            reason="release-wheel",
        )
    content = _files.read_regular(path, what="wheel", limit=_MAX_BYTES)
    return Wheel(path.name, found["version"], hashlib.sha256(content).hexdigest())


def appraise(wheel: Wheel, bundles: Iterable[Envelope | LamslsaError], policy: ReleasePolicy, run: Run) -> str:
    """Who built the wheel, by the first bundle that satisfies the policy.

    STEPS, each of which refuses a bundle:
        (1) the policy's signer signed it, in a log;
        (2) its certificate is of the tag of this version, of an event that releases, and of the run that is asked for;
        (3) it is a statement of SLSA provenance about this very file;
        (4) its predicate tells of the same run as the certificate.

    Raises:
        LamslsaError: none does; the refusal of the bundle that came farthest.
    """
    refusals: list[LamslsaError] = []
    for bundle in bundles:
        try:
            return _appraise(wheel, bundle, policy, run)
        except LamslsaError as err:
            refusals.append(err)
    if not refusals:
        raise VerificationError(f"expected provenance of {wheel.file}, got none", reason="release-missing")
    raise max(refusals, key=lambda err: err.exit_code)


def _appraise(wheel: Wheel, bundle: Envelope | LamslsaError, policy: ReleasePolicy, run: Run) -> str:
    if isinstance(bundle, LamslsaError):
        raise bundle
    signature = policy.signer.verify(bundle)  # (1)
    for refusal in policy.signer.refusals(signature, name=policy.name):
        raise PolicyError(refusal.message, reason=refusal.reason)
    certificate = policy.root.verify(bundle).certificate
    tag = f"refs/tags/{policy.tag_prefix}{wheel.version}"
    _equal("release-ref", {"tag of the source": (tag, certificate.ref)})  # (2)
    _equal("release-ref", {"end of the subject": (f"@{tag}", certificate.san[-len(tag) - 1 :])})
    if certificate.trigger not in policy.events:
        raise PolicyError(
            f"expected a run of {' or '.join(policy.events)}, got {certificate.trigger!r:.80}", reason="release-event"
        )
    _equal("release-commit", {"commit": (run.commit, certificate.digest)})
    _equal("release-repository", {"number of the repository": (run.repository_id, certificate.repository_id)})
    said = statement.parse(bundle.payload)  # (3)
    _equal("release-predicate", {"predicate type": (PROVENANCE, said.predicate_type)})
    if not any(item.name == wheel.file and item.sha256 == wheel.sha256 for item in said.subjects):
        names = ", ".join(f"{item.name[:80]!r} (sha256:{item.sha256[:12]})" for item in said.subjects[:4])
        raise PolicyError(
            f"expected {wheel.file} (sha256:{wheel.sha256[:12]}) as subject, got {names}", reason="release-subject"
        )
    _equal("release-provenance", dict(_told(_predicate(said.predicate), certificate, policy)))  # (4)
    return f"{certificate.san} at {certificate.digest}"


def _predicate(value: Mapping[str, Any]) -> _Provenance:
    try:
        return msgspec.convert(value, _Provenance, strict=True)
    except msgspec.ValidationError as err:
        raise PolicyError(
            f"expected provenance of a workflow of GitHub, got another: {err}", reason="release-provenance"
        ) from err


def _told(
    provenance: _Provenance, certificate: FulcioIdentity, policy: ReleasePolicy
) -> Iterator[tuple[str, tuple[str, str]]]:
    """What the predicate has to say, and says."""
    build, source = provenance.build_definition, provenance.build_definition.resolved_dependencies[0]
    workflow, github = build.external_parameters.workflow, build.internal_parameters.github
    yield "build type", (policy.build_type, build.build_type)
    yield "builder", (certificate.san, provenance.run_details.builder.id)
    yield "repository", (certificate.repository, workflow.repository)
    yield "workflow", (certificate.workflow, workflow.path)
    yield "ref", (certificate.ref, workflow.ref)
    yield "event", (certificate.trigger, github.event_name)
    yield "number of the repository", (certificate.repository_id, github.repository_id)
    yield "runner", (certificate.runner_environment, github.runner_environment)
    yield "source", (f"git+{certificate.repository}@{certificate.ref}", source.uri)
    yield "commit", (certificate.digest, source.digest.git_commit)


def _equal(reason: str, terms: Mapping[str, tuple[str | None, str]]) -> None:
    """Refuse the first term that is another one; None asks for nothing, and an empty value meets no term."""
    for what, (wanted, got) in terms.items():
        if wanted is not None and (not got or wanted != got):
            raise PolicyError(f"expected {wanted!r} as {what}, got {got!r:.200}", reason=reason)


def _pattern(pattern: re.Pattern[str]) -> Any:
    def read(text: str) -> str:
        if not pattern.fullmatch(text):
            raise argparse.ArgumentTypeError(f"expected {pattern.pattern}, got {text!r:.80}")
        return text

    return read


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Appraise a wheel of lamslsa against the policy of its releases.", allow_abbrev=False
    )
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--provenance", type=Path, required=True, help="*.jsonl, as gh attestation download writes it")
    parser.add_argument("--policy", type=Path, default=Path(__file__).with_name("release.yaml"))
    parser.add_argument("--commit", type=_pattern(_COMMIT), help="commit that it has to be built of")
    parser.add_argument("--repository-id", type=_pattern(_NUMBER), help="GitHub's number of the repository")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Say the verdict in one line, and return the exit code."""
    given = _arguments(words)
    try:
        policy = load(given.policy)
        wheel = measure(given.wheel, policy)
        data = _files.read_regular(given.provenance, what="provenance", limit=_MAX_BYTES)
        bundles = [item.outcome for item in parse_bundles("provenance.intoto.jsonl", data)]
        builder = appraise(wheel, bundles, policy, Run(commit=given.commit, repository_id=given.repository_id))
    except LamslsaError as err:
        print(f"refused: {err.reason}: {err}", file=sys.stderr)
        return err.exit_code
    except OSError as err:
        print(f"refused: input-unreadable: expected a file that can be read, got {err}", file=sys.stderr)
        return FormatError.exit_code
    print(f"accepted by {policy.name}: {wheel.file} sha256:{wheel.sha256}, built by {builder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
