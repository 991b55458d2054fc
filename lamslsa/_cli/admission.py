"""``lamslsa admission``: the gate of a cluster."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from lamslsa._cli import endorsements, stores, ui
from lamslsa._cli.inputs import read_trusted_root
from lamslsa._cli.policy_source import PolicySigner, read_policy, signer_options
from lamslsa.policy.opening import OpenedPolicy

__all__ = ["command"]

_ATTEMPTS: Final = 3


@click.group("admission")
def command() -> None:
    """Let a cluster admit models by a policy.

    \b
    Example:
      lamslsa admission serve --policy policy.yaml --registry registry.example --certificate tls.crt --key tls.key
    """


@command.command("serve")
@click.option(
    "--policy", required=True, type=click.Path(path_type=Path), help="Policy that decides; read again when it changes."
)
@click.option(
    "--registry",
    "registries",
    metavar="HOST[:PORT]",
    multiple=True,
    required=True,
    help="Registry that models may lie in; repeatable. No other one is asked, and models elsewhere are refused.",
)
@click.option(
    "--certificate",
    required=True,
    type=click.Path(path_type=Path),
    help="Certificate (PEM) to show, with those above it; read again when it changes.",
)
@click.option("--key", required=True, type=click.Path(path_type=Path), help="Its private key (PEM), no passphrase.")
@click.option("--host", default="0.0.0.0", show_default=True, help="Address to listen on.")  # noqa: S104 - a service of a cluster
@click.option("--port", default=8443, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 for any.")
@click.option(
    "--budget",
    metavar="SECONDS",
    default=8.0,
    show_default=True,
    type=click.FloatRange(0.1, 30),
    help="Longest that an answer may take; what is not known by then is refused.",
)
@click.option(
    "--keep-accepted",
    metavar="SECONDS",
    default=300.0,
    show_default=True,
    type=click.FloatRange(0, 86400),
    help="How long an acceptance is believed.",
)
@click.option(
    "--keep-refused",
    metavar="SECONDS",
    default=15.0,
    show_default=True,
    type=click.FloatRange(0, 86400),
    help="How long a refusal is believed.",
)
@click.option("--workers", default=4, show_default=True, type=click.IntRange(1, 64), help="Models judged at a time.")
@click.option(
    "--drain",
    metavar="SECONDS",
    default=5.0,
    show_default=True,
    type=click.FloatRange(0, 300),
    help="How long connections are still taken after SIGTERM.",
)
@click.option(
    "--collateral",
    multiple=True,
    type=click.Path(path_type=Path),
    help="What manufacturers say of platforms: a file, or a folder of *.json; repeatable. Read for each verdict, "
    "and every 2 s where Pods are given it.",
)
@click.option(
    "--trusted-root",
    type=click.Path(path_type=Path),
    help="Trusted root of Sigstore, where the policy names none.  [default: the public-good instance's]",
)
@click.option(
    "--verifier-image",
    metavar="HOST/REPOSITORY@sha256:…",
    default="",
    help="Image with lamslsa, which verifies models in their Pods where the policy says elsewhere: verifyInPod.",
)
@click.option(
    "--verifier-memory",
    metavar="AMOUNT",
    default="1Gi",
    show_default=True,
    help="Memory of each container that verifies, as Kubernetes writes it.",
)
@click.option("--verifier-cpu", metavar="AMOUNT", default="1", show_default=True, help="Processor time of each.")
@click.option(
    "--verifier-attestations",
    metavar="STORE",
    default="",
    help="Store in which they look for attestations: oci://…  [default: beside the model]",
)
@signer_options
@stores.options
@ui.options
def serve_command(
    policy: Path,
    registries: tuple[str, ...],
    certificate: Path,
    key: Path,
    host: str,
    port: int,
    budget: float,
    keep_accepted: float,
    keep_refused: float,
    workers: int,
    drain: float,
    collateral: tuple[Path, ...],
    trusted_root: Path | None,
    verifier_image: str,
    verifier_memory: str,
    verifier_cpu: str,
    verifier_attestations: str,
    policy_signer: PolicySigner,
    options: stores.StoreOptions,
    output: ui.Output,
) -> int:
    """Answer a ValidatingWebhook (/admit), a mutating one (/mutate) and Gatekeeper (/validate) until SIGTERM.

    A model is admitted where the cluster's runtime is bound to the digest that the policy accepts: image volumes, and
    oci:// references, pinned by @sha256. Every other place is refused; where the policy says admission: {elsewhere:
    verifyInPod}, a Pod with a model elsewhere gets a container that verifies a copy of it before others start.
    /healthz, /readyz and /metrics are there as well. The log goes to stderr, one JSON object a line.
    docs/admission.md says how to set it up.

    \b
    Example:
      lamslsa admission serve --policy policy.yaml --registry registry.example --certificate tls.crt --key tls.key
    """
    from lamslsa.admission.certificates import Certificates
    from lamslsa.admission.judge import RegistryJudge
    from lamslsa.admission.policy_file import PolicyFile
    from lamslsa.admission.service import Service, Settings
    from lamslsa.admission.verifier import Options

    read = functools.partial(_read, policy, policy_signer, options, trusted_root)
    held = functools.partial(endorsements.read, collateral)
    service = Service(
        RegistryJudge(
            # Few attempts, so that a registry that is down is the reason within the budget of a request.
            options=dataclasses.replace(stores.registry_options(options, notify=lambda _: None), attempts=_ATTEMPTS),
            held=held,
        ),
        policy=PolicyFile(policy, read, now=_now),
        certificates=Certificates(certificate, key),
        settings=Settings(
            registries=tuple(name.lower() for name in registries),
            budget_s=budget,
            accepted_s=keep_accepted,
            refused_s=keep_refused,
            workers=workers,
            drain_s=drain,
            verifier=Options(
                image=verifier_image,
                memory=verifier_memory,
                cpu=verifier_cpu,
                attestations=verifier_attestations,
                trusted_root=None if trusted_root is None else read_trusted_root(trusted_root),
                collateral=held,
            ),
        ),
        log=_silent if output.quiet else _log,
    )
    asyncio.run(service.run(host, port))
    return 0


def _read(policy: Path, signer: PolicySigner, options: stores.StoreOptions, trusted_root: Path | None) -> OpenedPolicy:
    from lamslsa.sign.keyless import SigstoreRoot

    root = None if trusted_root is None else SigstoreRoot.load(read_trusted_root(trusted_root))
    opened = read_policy(str(policy), options=options, trusted_root=root)
    signer.refuse_other(opened.policy, place=str(policy), trusted_root=trusted_root)
    return opened


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _log(event: str, about: Mapping[str, Any]) -> None:
    line = {"time": _now().isoformat(timespec="milliseconds"), "event": event, **about}
    click.echo(json.dumps(line, ensure_ascii=True), err=True)


def _silent(_event: str, _about: Mapping[str, Any]) -> None:
    return
