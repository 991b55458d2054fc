"""What ``verify`` and ``card`` share: from the words of the command line to an appraisal."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from lamslsa._cli import ui
from lamslsa._cli.challenge import ChallengeFile
from lamslsa._cli.inputs import UtcTime, read_capped
from lamslsa.artifact import hash_artifact
from lamslsa.errors import FormatError
from lamslsa.policy import Appraisal, Policy, appraise, load_policy
from lamslsa.store import DEFAULT_FOLDER, StoredBundle, open_store
from lamslsa.verify import verify_bundles

__all__ = ["appraise_model", "inputs"]

F = TypeVar("F", bound=Callable[..., Any])

_MAX_ENDORSEMENTS: Final = 256
_MAX_ENDORSEMENTS_BYTES: Final = 64 * 1024 * 1024


def inputs(command: F) -> F:
    """The arguments that decide an appraisal, handed on as one function named ``appraise``, which takes an output."""

    @functools.wraps(command)
    def decorated(
        *args: Any,
        model: Path,
        policy: Path,
        attestations: tuple[str, ...],
        at: dt.datetime | None,
        collateral: tuple[Path, ...],
        challenge: Path | None,
        **kwargs: Any,
    ) -> Any:
        ready = functools.partial(
            appraise_model,
            model=model,
            policy=policy,
            attestations=attestations,
            at=at,
            collateral=collateral,
            challenge=challenge,
        )
        return command(*args, appraise=ready, **kwargs)

    options = [
        click.argument("model", type=click.Path(path_type=Path)),
        click.option("--policy", required=True, type=click.Path(path_type=Path), help="Policy that decides."),
        click.option(
            "--attestations",
            multiple=True,
            metavar="STORE",
            help="Folder or bundle file; repeatable.  [default: MODEL/.attestations]",
        ),
        click.option(
            "--at",
            type=UtcTime(),
            help="Judge the expiry of certificates and collateral as of this time.  [default: now]",
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
    ]
    result: Any = decorated
    for option in reversed(options):
        result = option(result)
    return result  # type: ignore[no-any-return]  # click keeps the callable


def _bundles(model: Path, references: Sequence[str], output: ui.Output) -> Iterator[StoredBundle]:
    folder = model if model.is_dir() else model.parent
    for reference in references or [str(folder / DEFAULT_FOLDER)]:
        store = open_store(reference)
        if not Path(reference).exists():
            output.note(f"no attestations: {reference} does not exist")
            continue
        yield from store.bundles()


def _endorsements(paths: Sequence[Path]) -> tuple[bytes, ...]:
    """The endorsements that the verifier holds, each in a format that is known."""
    files: list[Path] = []
    for path in paths:
        found = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not found:
            raise FormatError(f"expected collateral in {path}, got no file named *.json", reason="collateral-folder")
        files += found
    held: list[bytes] = []
    for file in files:
        held.append(read_capped(file, what="collateral"))
        if len(held) > _MAX_ENDORSEMENTS or sum(map(len, held)) > _MAX_ENDORSEMENTS_BYTES:
            raise FormatError(
                f"expected at most {_MAX_ENDORSEMENTS} files of collateral and {_MAX_ENDORSEMENTS_BYTES} bytes, "
                "got more",
                reason="input-size",
            )
        _refuse_other_than_collateral(file, held[-1])
    return tuple(held)


def _refuse_other_than_collateral(path: Path, data: bytes) -> None:
    """Refuse a file that no verifier would take: it would be passed over in silence."""
    from lamslsa.evidence.collateral import parse as parse_dcap
    from lamslsa.evidence.snp.collateral import parse as parse_snp

    messages: list[str] = []
    for words, parse in (("Intel's", parse_dcap), ("AMD's", parse_snp)):
        try:
            parse(data)
        except FormatError as err:
            messages.append(f"not {words}: {err}")
        else:
            return
    raise FormatError(f"expected collateral in {path}, got none; {'; '.join(messages)}", reason="collateral-shape")


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


def appraise_model(
    output: ui.Output,
    *,
    model: Path,
    policy: Path,
    attestations: Sequence[str],
    at: dt.datetime | None,
    collateral: Sequence[Path],
    challenge: Path | None,
) -> Appraisal:
    """Hash the model, verify the bundles and appraise them under the policy; an acceptance uses up the challenge.

    Raises:
        FormatError: the policy, the model, the collateral or the challenge cannot be read.
        VerificationError: the challenge has been used.
        PolicyError: the policy has expired.
    """
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    when = at or now
    terms = load_policy(read_capped(policy, what="policy"), source=str(policy), directory=policy.parent)
    asked = _read_challenge(challenge, terms)
    trust = terms.trust_material(
        at=when, now=now, held=_endorsements(collateral), challenge=None if asked is None else asked.challenge
    )
    if when < now:
        output.note(f"expiry as of {when:%Y-%m-%dT%H:%M:%SZ}; revocation, advisories and age as of now")
    line = output.progress()
    artifact = hash_artifact(model, "model", progress=lambda at: line("hashing", at.bytes_done, at.bytes_total, "B"))
    verification = verify_bundles(_bundles(model, attestations, output), trust)
    appraisal = appraise(terms, model=artifact, model_name=model.resolve().name, verification=verification, at=when)
    if asked is not None and appraisal.accepted:
        asked.use(now=now, model=appraisal.model)
    return appraisal
