"""``--policy``, and who has to have signed it."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from lamslsa._cli import stores
from lamslsa._cli.inputs import read_capped, read_trusted_root, refuse_secret
from lamslsa.errors import FormatError, VerificationError
from lamslsa.policy import read_file
from lamslsa.policy.inline import open_inline, unpack
from lamslsa.policy.opening import OpenedPolicy, open_policy
from lamslsa.policy.sources import MAX_POLICY_BYTES, parse_source

if TYPE_CHECKING:
    from lamslsa.policy import Policy
    from lamslsa.policy.sources import Fetch, Pinned
    from lamslsa.sign.interface import BundleVerifier
    from lamslsa.sign.keyless import SigstoreRoot

__all__ = ["PolicySigner", "given_collateral", "is_pinned", "read_policy", "signer_options"]

F = TypeVar("F", bound=Callable[..., Any])
_SILENCE_S: Final = 5.0
_ATTEMPT_S: Final = 15.0
_VARIABLE: Final = re.compile(r"env://([A-Z_][A-Z0-9_]{0,63})@sha256:([0-9a-f]{64})")


def is_pinned(text: str) -> bool:
    """Whether the policy is elsewhere than in a file.

    Raises:
        FormatError: elsewhere, and not pinned.
    """
    return _VARIABLE.fullmatch(text) is not None or parse_source(text) is not None


def read_policy(
    text: str, *, options: stores.StoreOptions | None = None, trusted_root: SigstoreRoot | None = None
) -> OpenedPolicy:
    """The policy that the user names, by its path or the place where it is pinned.

    ``env://NAME@sha256:…`` is one that a process was given in its environment, as the gate of a cluster does.

    Args:
        text: as the user wrote it.
        options: how a registry is reached, which a policy may be in; None where nobody may be asked for one.
        trusted_root: of Sigstore, where the policy names none.

    Raises:
        FormatError: it cannot be read.
        VerificationError: it is not what is pinned.
        UnavailableError: whoever has it does not answer.
    """
    variable = _VARIABLE.fullmatch(text)
    if variable is not None:
        return open_inline(_variable(variable[1]), closure=variable[2])
    refuse_secret(text, what="policy")
    path = None if is_pinned(text) else Path(text)
    folder = Path() if path is None else path.parent

    def read(name: Path, limit: int, /) -> bytes:
        if path is not None and name == Path(path.name):
            return read_capped(path, what="policy", limit=MAX_POLICY_BYTES)
        return read_file(folder / name, limit)

    return open_policy(text, read=read, fetch=None if options is None else _fetch(options), trusted_root=trusted_root)


def given_collateral(text: str) -> tuple[bytes, ...]:
    """What manufacturers say of platforms that came along with a policy in a variable; nothing with others.

    Raises:
        FormatError: there is no such variable, or it holds something else.
    """
    variable = _VARIABLE.fullmatch(text)
    return () if variable is None else unpack(_variable(variable[1])).collateral


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise FormatError(
            f"expected a policy in the variable {name}, got none",
            reason="policy-inline",
            hint="it is set by who starts this process; a file is named by its path",
        )
    return value


def _fetch(options: stores.StoreOptions) -> Fetch:
    """Gets what is pinned; nothing is opened before it is asked for."""
    from lamslsa.fetch.http import HttpClient
    from lamslsa.fetch.policies import PolicyFetcher

    @functools.cache
    def fetcher() -> PolicyFetcher:
        return PolicyFetcher(
            http=HttpClient(authorities=options.ca_file, read_timeout=_SILENCE_S, attempt_timeout=_ATTEMPT_S),
            open_artifact=lambda reference: stores.open_model(reference, options),
        )

    def fetch(source: Pinned, path: PurePosixPath, limit: int, /) -> bytes:
        return fetcher()(source, path, limit)

    return fetch


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySigner:
    """Who has to have signed the policy, as it stands on the command line; nobody where nothing is said."""

    policy_key: Path | None
    policy_identity: str | None
    policy_identity_provider: str | None
    policy_signature: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the user named to be read."""
        return tuple(path for path in (self.policy_key, self.policy_signature) if path is not None)

    def refuse_other(self, policy: Policy, *, place: str | None, trusted_root: Path | None) -> None:
        """Return if the policy is signed by whoever has to have signed it.

        Args:
            policy: as it was read.
            place: where it was read; None of one in an archive.
            trusted_root: of Sigstore; the embedded one if None.

        Raises:
            VerificationError: not signed, by somebody else, or with other files.
            FormatError: the signature is none.
        """
        verifier = self._verifier(trusted_root)
        if verifier is None:
            return
        from lamslsa.policy.signature import MAX_SIGNATURE_BYTES, signature_path, verify_signature

        file = self.policy_signature
        if file is None and place is not None and not is_pinned(place):
            file = signature_path(Path(place))
        if file is None or not file.exists():
            raise VerificationError(
                f"expected a signature of the policy, got none{'' if file is None else f' at {file}'}",
                reason="policy-unsigned",
                hint="name it with --policy-signature; lamslsa policy sign makes one",
            )
        verify_signature(policy, read_capped(file, what="signature", limit=MAX_SIGNATURE_BYTES), verifier)

    def _verifier(self, trusted_root: Path | None) -> BundleVerifier | None:
        identity, issuer = self.policy_identity, self.policy_identity_provider
        if self.policy_key is None and identity is None and issuer is None:
            if self.policy_signature is not None:
                raise click.UsageError("--policy-signature goes with --policy-key or --policy-identity")
            return None
        from lamslsa.sign.keyless import KeylessTerms, KeylessVerifier, SigstoreRoot

        root = None if trusted_root is None else SigstoreRoot.load(read_trusted_root(trusted_root))
        if self.policy_key is not None:
            if identity is not None or issuer is not None:
                raise click.UsageError("--policy-key and --policy-identity both say who signed: leave one out")
            from lamslsa.sign import KeyVerifier

            return KeyVerifier.load(read_capped(self.policy_key, what="public key"), root)
        if identity is None or issuer is None:
            raise click.UsageError(
                "expected both --policy-identity and --policy-identity-provider: any issuer can vouch for any name"
            )
        return KeylessVerifier(
            terms=KeylessTerms(issuer=issuer, identity=identity), root=root or SigstoreRoot.embedded()
        )


def signer_options(command: F) -> F:
    """The options of `PolicySigner`, handed on as one argument named ``policy_signer``."""

    @functools.wraps(command)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        signer = PolicySigner(**{name: kwargs.pop(name) for name in PolicySigner.__dataclass_fields__})
        return command(*args, policy_signer=signer, **kwargs)

    options = [
        click.option(
            "--policy-key", type=click.Path(path_type=Path), help="Public key that must have signed the policy."
        ),
        click.option(
            "--policy-identity", help="Who must have signed the policy, as the certificate of Sigstore has it."
        ),
        click.option("--policy-identity-provider", metavar="URL", help="Who must have vouched for that identity."),
        click.option(
            "--policy-signature",
            type=click.Path(path_type=Path),
            help="File with the signature of the policy.  [default: POLICY.sigstore.json]",
        ),
    ]
    result: Any = decorated
    for option in reversed(options):
        result = option(result)
    return result  # type: ignore[no-any-return]  # click keeps the callable
