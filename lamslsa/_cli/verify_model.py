"""``lamslsa verify-model``: who signed these files?"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamslsa import _codec
from lamslsa._cli import ui
from lamslsa._cli.inputs import UtcTime, read_capped, read_trusted_root
from lamslsa._cli.sign_model import counted, default_signature
from lamslsa.artifact import hash_artifact
from lamslsa.errors import VerificationError
from lamslsa.sign.interface import BundleVerifier

if TYPE_CHECKING:
    from lamslsa.sign.keyless import SigstoreRoot

__all__ = ["command"]


@click.command("verify-model")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--signature",
    type=click.Path(path_type=Path),
    help="File with the signature.  [default: MODEL/.attestations/model.sigstore.json]",
)
@click.option("--key", type=click.Path(path_type=Path), help="Public key that has to have signed.")
@click.option(
    "--certificate-chain",
    "authorities",
    type=click.Path(path_type=Path),
    help="Certificates of the CAs, in PEM, one of which has to have certified the signer.",
)
@click.option("--identity", help="Who has to have signed, as the certificate of Sigstore has it, exactly.")
@click.option("--identity-provider", "issuer", help="Who has to have vouched for the identity: URL of the issuer.")
@click.option(
    "--trusted-root",
    type=click.Path(path_type=Path),
    help="Root of trust of the Sigstore.  [default: the public one]",
)
@click.option(
    "--at", type=UtcTime(), help="Time at which certificates under --certificate-chain are valid.  [default: now]"
)
@ui.options
def command(
    model: Path,
    signature: Path | None,
    key: Path | None,
    authorities: Path | None,
    identity: str | None,
    issuer: str | None,
    trusted_root: Path | None,
    at: dt.datetime | None,
    output: ui.Output,
) -> int:
    """Verify a signature by OpenSSF model signing: that one signer signed all files of MODEL and no others.

    Works offline. It says who made these files; whether the model is fit for use is what `lamslsa verify` appraises.

    \b
    Example:
      lamslsa verify-model ./model --key keys/maker.pub
      lamslsa verify-model ./model --signature model.sig --certificate-chain ca.pem
      lamslsa verify-model ./model --identity me@example.com --identity-provider https://accounts.example.com
    """
    from lamslsa.model_signature import covers, parse_predicate, signed_files
    from lamslsa.sign import parse_bundle
    from lamslsa.statement import parse

    verifier = _verifier(key, authorities, (identity, issuer), trusted_root, at)
    signature = default_signature(model) if signature is None else signature
    data = read_capped(signature, what="signature")
    envelope = parse_bundle(data)
    signed = verifier.verify(envelope)
    statement = parse(envelope.payload)
    predicate = parse_predicate(statement)
    signed_files(predicate, statement)
    line = output.progress()
    manifest = hash_artifact(model, "model", progress=lambda at: line("hashing", at.bytes_done, at.bytes_total, "B"))
    difference = covers(predicate, statement, manifest.files, signature_sha256=_codec.sha256_hex(data))
    if difference is not None:
        raise VerificationError(
            difference, reason="model-signature-files", hint="get the files again from whoever signed them"
        )
    dated = [{"at": time.at.isoformat(), "source": time.source} for time in signed.witnessed.times]
    if signed.witnessed.message:
        output.note(signed.witnessed.message)
    output.result(
        f"{counted(len(predicate.resources))} signed by {ui.plain(signed.signer)}"
        + (f", at the latest {dated[0]['at']}" if dated else ""),
        {
            "signer": signed.signer,
            "keyId": signed.key_id or None,
            "model": f"sha256:{manifest.sha256}",
            "files": len(predicate.resources),
            "times": dated,
            "logged": signed.witnessed.logged,
        },
    )
    return 0


def _verifier(
    key: Path | None,
    authorities: Path | None,
    keyless: tuple[str | None, str | None],
    trusted_root: Path | None,
    at: dt.datetime | None,
) -> BundleVerifier:
    """The one way of saying who has to have signed.

    Raises:
        click.UsageError: none, or more than one.
    """
    identity, issuer = keyless
    ways = [key is not None, authorities is not None, identity is not None or issuer is not None]
    if sum(ways) != 1:
        raise click.UsageError(
            "expected exactly one of --key, --certificate-chain, and --identity with --identity-provider"
        )
    if at is not None and authorities is None:
        raise click.UsageError("expected --at only with --certificate-chain: other signatures have times of their own")
    if authorities is not None:
        if trusted_root is not None:
            raise click.UsageError("expected --trusted-root only with Sigstore or --key, got it with a private CA")
        from lamslsa.sign.certificate_chain import CertificateChainVerifier

        return CertificateChainVerifier.load(
            read_capped(authorities, what="certificates"), at=at or dt.datetime.now(dt.UTC)
        )
    if key is not None:
        from lamslsa.sign import KeyVerifier

        pem = read_capped(key, what="public key")
        return KeyVerifier.load(pem) if trusted_root is None else KeyVerifier.load(pem, _root(trusted_root))
    if identity is None or issuer is None:
        raise click.UsageError("expected both --identity and --identity-provider: any issuer can vouch for any name")
    from lamslsa.sign.keyless import KeylessTerms, KeylessVerifier

    return KeylessVerifier(terms=KeylessTerms(issuer=issuer, identity=identity), root=_root(trusted_root))


def _root(path: Path | None) -> SigstoreRoot:
    from lamslsa.sign.keyless import SigstoreRoot

    return SigstoreRoot.embedded() if path is None else SigstoreRoot.load(read_trusted_root(path))
