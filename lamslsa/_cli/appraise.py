"""What ``verify``, ``card`` and ``export`` share: from the words of the command line to all that is to be judged."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from lamslsa import archive
from lamslsa._cli import endorsements, stores, ui
from lamslsa._cli.challenge import ChallengeFile
from lamslsa._cli.gathered import Gathered
from lamslsa._cli.inputs import UtcTime, read_capped, read_trusted_root
from lamslsa._cli.policy_source import PolicySigner, given_collateral, is_pinned, read_policy, signer_options
from lamslsa.artifact.manifest import Manifest
from lamslsa.errors import FormatError
from lamslsa.policy import Policy
from lamslsa.policy.opening import OpenedPolicy, open_policy
from lamslsa.store import ArtifactStore, StoredBundle

if TYPE_CHECKING:
    from lamslsa.sign.keyless import SigstoreRoot

__all__ = ["Request", "inputs"]

F = TypeVar("F", bound=Callable[..., Any])
_IN_ARCHIVE: Final = "policy.yaml in the archive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The arguments that decide an appraisal, as they stand on the command line."""

    model: str
    policy: str | None
    policy_signer: PolicySigner
    attestations: tuple[str, ...]
    at: dt.datetime | None
    collateral: tuple[Path, ...]
    challenge: Path | None
    trusted_root: Path | None
    tuf_url: str | None
    pull: bool
    as_exported: bool
    options: stores.StoreOptions

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the user named to be read; nothing may be written over one."""
        policy = () if self.policy is None or is_pinned(self.policy) else (Path(self.policy),)
        named = (Path(self.model), *policy, *self.collateral, self.challenge, self.trusted_root)
        return (*(Path(path) for path in named if path is not None), *self.policy_signer.files)

    def refuse_summaries(self, summaries: Sequence[str]) -> None:
        """Refuse to let others rely on a verdict that is not one of here and now.

        Who reads a summary knows the policy's digest and when it was signed, and not that the verdict was one as of
        another time, or that an archive brought the roots under which it was reached.

        Raises:
            click.UsageError: the verdict would be such a one.
        """
        if not summaries:
            return
        if self.as_exported or self.at is not None:
            raise click.UsageError(f"expected a verdict as of now for {summaries[0]}: leave --at and --as-exported out")
        if self.policy is None:
            raise click.UsageError(
                f"expected --policy to go with {summaries[0]}: an archive's own is its maker's choice"
            )

    def gather(self, output: ui.Output) -> Gathered:
        """Read the model's manifest, the policy, the bundles and what they are judged with.

        Raises:
            FormatError: one of them cannot be read.
            UnavailableError: a store cannot be reached.
        """
        opened = self._archive()
        now = dt.datetime.now(dt.UTC).replace(microsecond=0)
        at = self.at or now
        if self.as_exported:
            if opened is None:
                raise click.UsageError("--as-exported goes with an archive that lamslsa export made")
            if self.at is not None:
                raise click.UsageError("--as-exported and --at both say as of when: leave one out")
            now, at = min(now, opened.now), min(now, opened.at)
        root = self._root()
        if opened is not None:
            return self._of_archive(opened, root, now=now, at=at)
        if self.policy is None:
            raise click.UsageError("Missing option '--policy'.")
        read = self._policy(self.policy, root)
        policy = read.policy
        challenge = _read_challenge(self.challenge, policy)
        held = endorsements.read(self.collateral) + endorsements.parsed(given_collateral(self.policy))
        if self.at is not None and self.at < now:
            output.note(
                f"expiry as of {self.at:%Y-%m-%dT%H:%M:%SZ} where no trusted time says; "
                "revocation, advisories and age as of now"
            )
        store = stores.open_model(self.model, self.options)
        manifest = self._manifest(store, output)
        return Gathered(
            policy=policy,
            policy_bytes=read.data,
            policy_files=read.files,
            manifest=manifest,
            model_name=stores.name_of(store),
            bundles=self._bundles(store, output),
            trusted_root=root,
            held=held,
            files_read=self.pull or stores.reads_files(store),
            at=at,
            now=now,
            challenge=challenge,
        )

    def look(self, output: ui.Output) -> tuple[Manifest, str, tuple[StoredBundle, ...]] | None:
        """The model, what it is called, and its bundles, where there is no policy to judge them by; else None.

        Raises:
            FormatError: the model cannot be read.
            UnavailableError: a store cannot be reached.
        """
        if self.policy is not None or self._archive() is not None:
            return None
        judged = {
            "--at": self.at,
            "--collateral": self.collateral,
            "--challenge": self.challenge,
            "--trusted-root": self.trusted_root,
            "--tuf-url": self.tuf_url,
            "--as-exported": self.as_exported,
        }
        for option, value in judged.items():
            if value:
                raise click.UsageError(f"expected --policy to go with {option}: nothing is judged without it")
        store = stores.open_model(self.model, self.options)
        return self._manifest(store, output), stores.name_of(store), self._bundles(store, output)

    def _root(self) -> bytes | None:
        """The trusted root that the relying party names, from a file or from what TUF left behind; no network."""
        if self.trusted_root is not None and self.tuf_url is not None:
            raise click.UsageError("--trusted-root and --tuf-url both name a trusted root: leave one out")
        if self.trusted_root is not None:
            return read_trusted_root(self.trusted_root)
        if self.tuf_url is not None:
            from lamslsa.sign.keyless.config import trusted_root_from_tuf

            return trusted_root_from_tuf(self.tuf_url, offline=True)
        return None

    def _archive(self) -> archive.Archive | None:
        path = Path(self.model)
        if path.suffix.lower() != ".zip" or stores.is_scheme(self.model):
            return None
        if not path.exists():
            raise FormatError(f"expected a model or an audit archive at {path}, got nothing", reason="archive-missing")
        if not path.is_file():
            return None
        data = read_capped(path, what="archive", limit=archive.MAX_ARCHIVE_BYTES)
        return archive.read(data) if archive.is_archive(data) else None

    def _of_archive(
        self, opened: archive.Archive, root: bytes | None, *, now: dt.datetime, at: dt.datetime
    ) -> Gathered:
        """What an archive holds; the policy that it brings is judged under the roots that it brings, or neither is."""
        if self.pull or self.attestations:
            raise click.UsageError("an archive brings attestations and no bytes: leave --attestations and --pull out")
        if self.policy is None:
            root = opened.trusted_root if root is None else root
            read = open_policy(
                _IN_ARCHIVE, read=functools.partial(_read_archived, opened), trusted_root=_load_root(root)
            )
            self.policy_signer.refuse_other(read.policy, place=None, trusted_root=self.trusted_root)
        else:
            read = self._policy(self.policy, root)
        policy = read.policy
        return Gathered(
            policy=policy,
            policy_bytes=read.data,
            policy_files=read.files,
            manifest=opened.manifest,
            model_name=opened.model_name,
            bundles=tuple(opened.stored()),
            trusted_root=root,
            held=endorsements.read(self.collateral),
            carried=endorsements.parsed(opened.collateral),
            files_read=False,
            at=at,
            now=now,
            challenge=_read_challenge(self.challenge, policy),
            origin=opened,
            own_policy=self.policy is not None,
            as_exported=self.as_exported,
        )

    def _policy(self, place: str, root: bytes | None) -> OpenedPolicy:
        """The policy that the user names, signed by whoever has to have signed it."""
        read = read_policy(place, options=self.options, trusted_root=_load_root(root))
        self.policy_signer.refuse_other(read.policy, place=place, trusted_root=self.trusted_root)
        return read

    def _manifest(self, store: ArtifactStore, output: ui.Output) -> Manifest:
        line = output.progress()
        manifest = store.manifest(lambda at: line("hashing", at.bytes_done, at.bytes_total, "B"))
        if self.pull:
            pulling = output.progress()
            stores.verify_files(store, manifest, lambda at: pulling("pulling", at.bytes_done, at.bytes_total, "B"))
        return manifest

    def _bundles(self, store: ArtifactStore, output: ui.Output) -> tuple[StoredBundle, ...]:
        if not self.attestations:
            return tuple(store.bundles())
        found: list[StoredBundle] = []
        for reference in self.attestations:
            if stores.is_absent(reference):
                output.note(f"no attestations: {reference} does not exist")
                continue
            found += stores.open_bundles(reference, self.options).bundles()
        return tuple(found)


def _read_archived(opened: archive.Archive, path: Path, limit: int, /) -> bytes:
    return opened.policy if path == Path(_IN_ARCHIVE) else opened.read_policy_file(path, limit)


def _load_root(data: bytes | None) -> SigstoreRoot | None:
    from lamslsa.sign.keyless import SigstoreRoot

    return None if data is None else SigstoreRoot.load(data)


def _read_challenge(path: Path | None, policy: Policy) -> ChallengeFile | None:
    if path is None:
        return None
    challenge = ChallengeFile.read(path)
    if all(witness.max_age is None for witness in policy.witnesses):
        raise FormatError(
            "expected a rule with maxAge to go with --challenge, got none: the challenge would decide nothing",
            reason="challenge-idle",
            hint="put maxAge on the rules that it is meant for",
        )
    return challenge


def inputs(command: F) -> F:
    """The arguments that decide an appraisal, handed on as one `Request` named ``request``."""

    @functools.wraps(command)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        names = [name for name in Request.__dataclass_fields__ if name in kwargs]
        return command(*args, request=Request(**{name: kwargs.pop(name) for name in names}), **kwargs)

    options = [
        click.argument("model"),
        click.option(
            "--policy",
            metavar="PLACE",
            help="Policy that decides: a file, https://…@sha256:… or oci://…@sha256:…; or env://NAME@sha256:…, as the "
            "gate of a cluster hands it over.",
        ),
        click.option(
            "--attestations",
            multiple=True,
            metavar="STORE",
            help="Store of attestations: folder, bundle file, oci://…; repeatable.  [default: beside MODEL]",
        ),
        click.option(
            "--at",
            type=UtcTime(),
            help="Judge the expiry of what no trusted time dates as of this time.  [default: now]",
        ),
        click.option(
            "--collateral",
            multiple=True,
            type=click.Path(path_type=Path),
            help="What manufacturers say of platforms today: a file, or a folder of *.json; repeatable.",
        ),
        click.option(
            "--challenge",
            type=click.Path(path_type=Path),
            help="Challenge that the evidence answers; used up when the model is accepted.",
        ),
        click.option(
            "--trusted-root",
            type=click.Path(path_type=Path),
            help="Trusted root of Sigstore, where the policy names none.  [default: the public-good instance's]",
        ),
        click.option(
            "--tuf-url",
            metavar="URL",
            help="The trusted root that lamslsa fetch-trusted-root last got from this TUF repository.",
        ),
        click.option("--pull", is_flag=True, help="Also read every file of a model in a registry."),
        click.option(
            "--as-exported", is_flag=True, help="Judge an audit archive as of the time that it states, not as of now."
        ),
    ]
    result: Any = signer_options(stores.options(decorated))
    for option in reversed(options):
        result = option(result)
    return result  # type: ignore[no-any-return]  # click keeps the callable
