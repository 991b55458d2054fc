"""Options of every command that signs: with whose key or identity, and who witnesses it.

What can be refused is refused before the command does anything: consent that nobody can give, a key that does not open,
a token that is none. Tokens last minutes, so one that is asked for is got anew when there is something to sign.
"""

from __future__ import annotations

import datetime as dt
import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import click

from lamslsa._cli import ui
from lamslsa._cli.consent import Consent, refuse_unasked
from lamslsa._cli.inputs import (
    passphrase_option,
    read_capped,
    read_passphrase,
    read_trusted_root,
    refuse_secret,
)
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.sign.interface import Signer

if TYPE_CHECKING:
    from lamslsa.sign.keyless.config import TrustConfig
    from lamslsa.sign.keyless.tokens import Token
    from lamslsa.sign.sources import ManagedSigner

__all__ = ["MakeSigner", "described", "optional", "options"]

F = TypeVar("F", bound=Callable[..., Any])
_MAX_TOKEN_BYTES: Final = 64 * 1024
_NAMES: Final = (
    *("key", "passphrase_file", "keyless", "identity_token", "trust_config", "tuf_url", "tuf_root", "staging"),
    *("require_timestamp", "require_log", "yes"),
)
_OF_A_SIGSTORE: Final = ("trust_config", "tuf_url", "staging")
_OF_TUF: Final = ("tuf_url", "tuf_root")


class MakeSigner(Protocol):
    """What a command gets for these options."""

    def __call__(self, output: ui.Output, payloads: Sequence[bytes]) -> AbstractContextManager[Signer]:
        """The signer, for as long as the context lasts.

        Args:
            output: of the command, for what it has to tell.
            payloads: the statements that may be signed, for the notice of what becomes public.

        Raises:
            LamslsaError: a token or a service cannot be used.
        """
        ...


def options(command: F) -> F:
    """Add the options, handed on as one `MakeSigner` named ``make_signer``.

    Raises:
        click.UsageError: the options contradict each other, or ``--yes`` is needed.
        LamslsaError: a key, token or trust configuration cannot be used.
    """

    @functools.wraps(command)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        chosen = {name: kwargs.pop(name) for name in _NAMES}
        _refuse_contradictions(chosen)
        return _with_signer(command, chosen, *args, **kwargs)

    return _declare(decorated)  # type: ignore[no-any-return]  # click keeps the callable


def optional(command: F) -> F:
    """Add the options for a command that also does without: ``make_signer`` is None where none is given.

    A TUF repository of one's own is named by ``--trust-config`` here: the command may have a ``--tuf-url`` already.

    Raises:
        click.UsageError: as `options`, or an option is given that goes with a key or identity, and neither is.
        LamslsaError: as `options`.
    """

    @functools.wraps(command)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        chosen = {name: kwargs.pop(name, None) for name in _NAMES if name not in _OF_TUF}
        if chosen["key"] is None and not chosen["keyless"]:
            idle = [name for name, value in chosen.items() if value]
            if idle:
                raise click.UsageError(f"expected --key or --keyless to go with --{idle[0].replace('_', '-')}")
            return command(*args, make_signer=None, **kwargs)
        chosen |= dict.fromkeys(_OF_TUF)
        _refuse_contradictions(chosen)
        return _with_signer(command, chosen, *args, **kwargs)

    return _declare(decorated, without=_OF_TUF)  # type: ignore[no-any-return]  # click keeps the callable


def _with_signer(command: Callable[..., Any], chosen: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
    if chosen["keyless"] or chosen["require_log"]:
        refuse_unasked(assumed=chosen["yes"])
    with ExitStack() as stack:
        make_signer = _of_identity(chosen) if chosen["keyless"] else _of_key(chosen, stack)
        return command(*args, make_signer=make_signer, **kwargs)


def _declare(decorated: Any, *, without: Sequence[str] = ()) -> Any:
    path = click.Path(path_type=Path)
    named = {
        "key": click.option("--key", metavar="REF", help="Private key that signs: a file, env://NAME or pkcs11:…."),
        "passphrase_file": passphrase_option,
        "keyless": click.option("--keyless", is_flag=True, help="Sign with Sigstore, as an identity instead of a key."),
        "identity_token": click.option(
            "--identity-token",
            metavar="TOKEN|@FILE|-",
            help="Identity token; @FILE or - (stdin) keeps it off the process list. Else $SIGSTORE_ID_TOKEN, the"
            " CI's own, or a browser.",
        ),
        "trust_config": click.option(
            "--trust-config", type=path, help="Services and trusted root of a Sigstore of one's own."
        ),
        "tuf_url": click.option("--tuf-url", metavar="URL", help="TUF repository that distributes them."),
        "tuf_root": click.option("--tuf-root", type=path, help="First root.json of that repository."),
        "staging": click.option("--staging", is_flag=True, help="Sigstore's public instance for tests."),
        "require_timestamp": click.option(
            "--require-timestamp", is_flag=True, help="Get a timestamp (RFC 3161), or fail."
        ),
        "require_log": click.option("--require-log", is_flag=True, help="Get an entry in a transparency log, or fail."),
        "yes": click.option("--yes", is_flag=True, help="Do not ask before something becomes public."),
    }
    for name, option in reversed(named.items()):
        if name not in without:
            decorated = option(decorated)
    return decorated


def described(signer: Signer) -> dict[str, Any]:
    """Who signed, for JSON: in words, and the key's id where a key did."""
    return {"signer": signer.identity, "keyId": getattr(signer, "key_id", None)}


def _refuse_contradictions(chosen: dict[str, Any]) -> None:
    if (chosen["key"] is None) != chosen["keyless"]:
        raise click.UsageError("expected one of --key and --keyless")
    if chosen["keyless"] and chosen["passphrase_file"] is not None:
        raise click.UsageError("expected --passphrase-file with --key only")
    if chosen["key"] is not None and chosen["identity_token"] is not None:
        raise click.UsageError("expected --identity-token with --keyless only")
    sources = [name for name in _OF_A_SIGSTORE if chosen[name]]
    if len(sources) > 1:
        raise click.UsageError("expected at most one of --trust-config, --tuf-url and --staging")
    if chosen["tuf_root"] is not None and chosen["tuf_url"] is None:
        raise click.UsageError("expected --tuf-root with --tuf-url only")
    if sources and not (chosen["keyless"] or chosen["require_timestamp"] or chosen["require_log"]):
        raise click.UsageError("expected --require-timestamp or --require-log, since a key alone asks no Sigstore")


def _of_key(chosen: dict[str, Any], stack: ExitStack) -> MakeSigner:
    """The key is opened here, for as long as the stack lasts."""
    from lamslsa.sign.sources import open_key

    refuse_secret(chosen["key"], what="private key")
    passphrase = read_passphrase(chosen["passphrase_file"])
    signer = stack.enter_context(open_key(chosen["key"], passphrase=passphrase, environment=os.environ))
    witnessed = chosen["require_timestamp"] or chosen["require_log"]
    return functools.partial(_managed, chosen, signer, _config(chosen) if witnessed else None)


@contextmanager
def _managed(
    chosen: dict[str, Any],
    signer: ManagedSigner,
    config: TrustConfig | None,
    output: ui.Output,
    payloads: Sequence[bytes],
) -> Iterator[Signer]:
    if config is None:
        yield signer
        return
    from lamslsa.sign.keyless import SigstoreRoot
    from lamslsa.sign.keyless.services import open_services
    from lamslsa.sign.witnessed import WitnessedSigner

    consent: Callable[[], None] = _nothing_public
    with open_services(config) as services:
        if chosen["require_log"]:
            who = [f"the public key: {signer.key_id}"]
            consent = Consent(
                output=output,
                log=config.log,
                whole=services.log_version == 1,
                who=who,
                payloads=payloads,
                assumed=chosen["yes"],
            )
        yield WitnessedSigner(
            signer=signer,
            witnesses=services,
            root=SigstoreRoot.load(config.trusted_root),
            require_timestamp=chosen["require_timestamp"],
            require_log=chosen["require_log"],
            consent=consent,
        )


def _of_identity(chosen: dict[str, Any]) -> MakeSigner:
    """Everything is read here but the answer of a person in a browser."""
    config = _config(chosen)
    return functools.partial(_keyless, chosen, config, _token_source(chosen["identity_token"], config))


@contextmanager
def _keyless(
    chosen: dict[str, Any],
    config: TrustConfig,
    source: Callable[[], Token],
    output: ui.Output,
    payloads: Sequence[bytes],
) -> Iterator[Signer]:
    from lamslsa.sign.keyless.services import open_services
    from lamslsa.sign.keyless.session import open_session

    token = source()
    who = [f"the identity: {token.signer}"]
    if token.repository:
        who.append(f"the repository: {token.repository}, with commit, workflow and run where the token tells them")
    with open_services(config) as services:
        whole = services.log_version == 1
    consent = Consent(output=output, log=config.log, whole=whole, who=who, payloads=payloads, assumed=chosen["yes"])
    with open_session(
        config, token, require_timestamp=chosen["require_timestamp"], consent=consent, note=ui.note
    ) as signer:
        yield signer


def _nothing_public() -> None:
    """A timestamp authority sees a hash."""


def _config(chosen: dict[str, Any]) -> TrustConfig:
    from lamslsa.sign.keyless import config

    if chosen["trust_config"] is not None:
        return config.parse_trust_config(read_capped(chosen["trust_config"], what="trust configuration"))
    if chosen["tuf_url"] is not None:
        root = None if chosen["tuf_root"] is None else read_trusted_root(chosen["tuf_root"], what="root.json")
        return config.trust_config_from_tuf(chosen["tuf_url"], bootstrap=root)
    return config.trust_config_from_tuf(config.STAGING_TUF if chosen["staging"] else config.PUBLIC_GOOD_TUF)


def _token_source(given: str | None, config: TrustConfig) -> Callable[[], Token]:
    """The first source that there is; one that fails is not passed over.

    A token that was given is read at once. A CI is asked at once whether it gives one, and again when it is needed.
    """
    from lamslsa.sign.keyless.tokens import ambient_token, browser_token, parse_token

    at = dt.datetime.now(dt.UTC)
    if given is None:
        given = os.environ.get("SIGSTORE_ID_TOKEN") or None
    elif given == "-":
        given = _decoded(sys.stdin.buffer.read(_MAX_TOKEN_BYTES))
    elif given.startswith("@"):
        given = _decoded(read_capped(Path(given[1:]), what="identity token", limit=_MAX_TOKEN_BYTES))
    if given is not None:
        token = parse_token(given, at=at)
        return lambda: token
    if (first := ambient_token(at=at)) is not None:
        return lambda: ambient_token(at=dt.datetime.now(dt.UTC)) or first
    if config.issuer and sys.stdin.isatty() and sys.stderr.isatty():
        return lambda: browser_token(config.issuer)
    raise UnavailableError(
        "expected an identity token, got none, and nobody is here to ask in a browser",
        reason="token-missing",
        hint="pass --identity-token @FILE, or let the CI give the job one (GitHub: permissions: id-token: write)",
    )


def _decoded(data: bytes) -> str:
    try:
        return data.decode("ascii")
    except UnicodeDecodeError as err:
        raise FormatError("expected an identity token in ASCII, got other bytes", reason="token-bytes") from err
