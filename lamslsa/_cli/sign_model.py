"""``lamslsa sign-model``: a signature of a whole model that other tools verify."""

from __future__ import annotations

from pathlib import Path

import click

from lamslsa._cli import signing, ui
from lamslsa._files import refuse_existing, replace_file
from lamslsa.artifact import hash_artifact
from lamslsa.artifact.manifest import EXCLUDED_ROOTS, refuse_path
from lamslsa.errors import FormatError
from lamslsa.sign.dsse import BUNDLE_SUFFIX
from lamslsa.store.naming import DEFAULT_FOLDER

__all__ = ["command", "counted", "default_signature"]


def default_signature(model: Path) -> Path:
    """Where a signature lies unless the user says so: among the attestations, which are no part of the model."""
    return model / DEFAULT_FOLDER / f"model{BUNDLE_SUFFIX}"


def counted(files: int) -> str:
    """A number of files, in words."""
    return "1 file" if files == 1 else f"{files} files"


@click.command("sign-model")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--signature",
    type=click.Path(path_type=Path),
    help="New file with the signature.  [default: MODEL/.attestations/model.sigstore.json]",
)
@signing.options
@ui.options
def command(model: Path, signature: Path | None, make_signer: signing.MakeSigner, output: ui.Output) -> int:
    """Sign every file of MODEL, a folder, by OpenSSF model signing; `model_signing verify` reads it.

    Such a signature says who made these files, and nothing about how. A policy can ask for one on the model or an
    ingredient; among the attestations, where it lies by default, `lamslsa verify` finds it.

    \b
    Example:
      lamslsa sign-model ./model --key keys/maker.key
      lamslsa sign-model ./model --keyless --yes --signature maker.sig
    """
    from lamslsa.model_signature import git_paths, key_bundle, statement

    signature = default_signature(model) if signature is None else signature
    if model.is_file():
        raise FormatError(
            f"expected a folder, got the file {model}, whose signature would not name it",
            reason="model-signature-folder",
            hint="put the file into a folder and sign that",
        )
    refuse_existing(signature)
    if signature.parent.name == DEFAULT_FOLDER and signature.parent.parent.resolve() == model.resolve():
        _refuse_link(signature.parent)
    elif model.is_dir() and not signature.parent.is_dir():
        raise click.UsageError(f"expected --signature in a folder that exists, got {signature}")
    if ignored := _below(model, signature):
        output.note(
            f"{ignored[0]} becomes a file of the model and changes its identity; in {DEFAULT_FOLDER} it does not"
        )
    line = output.progress()
    manifest = hash_artifact(model, "model", progress=lambda at: line("hashing", at.bytes_done, at.bytes_total, "B"))
    payload = statement(manifest, name=model.resolve().name, ignored=ignored)
    with make_signer(output, [payload]) as signer:
        bundle, public_pem = signer.sign(payload), getattr(signer, "public_pem", None)
        described, identity = signing.described(signer), signer.identity
    signature.parent.mkdir(exist_ok=True)
    replace_file(signature, bundle if public_pem is None else key_bundle(bundle, public_pem))
    if left_out := git_paths(manifest.files):
        output.note(f"{left_out[0]} is signed too: model_signing verify needs --no-ignore-git-paths")
    output.result(
        f"{signature}\n{counted(len(manifest.files))} signed by {ui.plain(identity)}",
        {
            "signature": str(signature),
            **described,
            "model": f"sha256:{manifest.sha256}",
            "files": len(manifest.files),
        },
    )
    return 0


def _refuse_link(folder: Path) -> None:
    """Refuse to write through a link that may have come with the model, or into what is no folder."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise FormatError(
            f"expected a folder of its own at {folder}, got something else, such as a link",
            reason="model-signature-link",
            hint="remove it, or name a place elsewhere with --signature",
        )


def _below(model: Path, signature: Path) -> tuple[str, ...]:
    """The path of the signature within the model, which has to be one of a file; nothing when it lies elsewhere."""
    folder = signature.parent.resolve()
    if not folder.is_relative_to(model.resolve()):
        return ()
    path = (folder / signature.name).relative_to(model.resolve()).as_posix()
    if path.partition("/")[0] in EXCLUDED_ROOTS:
        return ()
    refuse_path(path)
    return (path,)
