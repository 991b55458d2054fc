"""Record AdmissionReviews of a real API server: what ``recorded-*`` beside this file is made of.

    python -m tests.vectors.admission.record --apiserver kube-apiserver --etcd etcd --kubectl kubectl [--into FOLDER]

It starts etcd and an API server on this machine, in a temporary folder and at ports that are free, registers a webhook
that admits everything and keeps what it is asked, and does with kubectl what `STEPS` says. Each step leaves one folder
``recorded-VERSION-NAME`` with the review as it came, indented, and the outcome that the step expects; the request line
and fields of the first review come into ``recorded-VERSION-head.txt``. There are no controllers, no scheduler and no
nodes: who makes a Deployment gets no Pods.

What is expected stands in the table, and is never what the gate said. Steps that a version does not know are left out.
`--option` hands an option to the API server: 1.20 needs ``--feature-gates=EphemeralContainers=true,
BoundServiceAccountTokenVolume=true`` for what later versions do of themselves.
"""

from __future__ import annotations

import argparse
import base64
import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.unit.admission.serving import certify
from tests.vectors.admission.steps import BEFORE, STEPS, Step

NAMESPACE: Final = "serving"
_TOKEN: Final = "recording"  # of a server that lives for a minute on loopback
_PATIENCE_S: Final = 120.0
_RESOURCES: Final = [
    *({"apiGroups": [""], "apiVersions": ["*"], "resources": [name]} for name in ("pods/*", "replicationcontrollers")),
    {"apiGroups": ["", "apps", "batch"], "apiVersions": ["*"], "resources": ["*"]},
    {"apiGroups": ["apps"], "apiVersions": ["*"], "resources": ["*/scale"]},
    {"apiGroups": ["serving.kserve.io"], "apiVersions": ["*"], "resources": ["*"]},
]


@dataclass
class Recorder:
    """A webhook that admits everything.

    Attributes:
        asked: the head and the review of every request, in order.
    """

    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @contextmanager
    def listening(self, certificate: Path, key: Path) -> Iterator[int]:
        """Serve until the end of the block, at the port that this yields."""
        asked = self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                fields = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
                asked.append((f"{self.requestline}\r\n{fields}\r\n", review))
                response = {"uid": review["request"]["uid"], "allowed": True}
                body = json.dumps({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response})
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextmanager
def process(command: Sequence[str], log: Path) -> Iterator[None]:
    """A program that runs until the end of the block."""
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT) as running:
        try:
            yield
        finally:
            running.terminate()
            running.wait(30)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """An API server that listens, and the kubectl that asks it."""

    kubectl: str
    url: str
    folder: Path

    def ask(self, *arguments: str, document: object = None, check: bool = True) -> str:
        """What kubectl prints."""
        command = [self.kubectl, f"--kubeconfig={os.devnull}", f"--server={self.url}", f"--token={_TOKEN}"]
        command += ["--insecure-skip-tls-verify", f"--cache-dir={self.folder / 'cache'}", "-n", NAMESPACE, *arguments]
        given = None if document is None else json.dumps(document)
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=_PATIENCE_S)
        if check and done.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done.stdout + done.stderr

    def version(self) -> tuple[int, int]:
        """Major and minor, once the server answers."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                if self.ask("get", "--raw", "/readyz") == "ok":
                    break
            except RuntimeError:
                if time.monotonic() > until:
                    raise
            time.sleep(0.5)
        told = json.loads(self.ask("get", "--raw", "/version"))
        return int(told["major"] or told["gitVersion"][1:].split(".")[0]), int(
            (told["minor"] or told["gitVersion"].split(".")[1]).rstrip("+")
        )


@contextmanager
def cluster(apiserver: str, etcd: str, kubectl: str, options: Sequence[str], folder: Path) -> Iterator[Cluster]:
    """etcd and an API server, until the end of the block."""
    clients, peers, port = free_ports(3)
    key = rsa.generate_private_key(65537, 2048)
    private, public = folder / "accounts.key", folder / "accounts.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (folder / "tokens.csv").write_text(f'{_TOKEN},someone,someone,"system:masters"\n')
    store, peer = f"http://127.0.0.1:{clients}", f"http://127.0.0.1:{peers}"
    storing = [etcd, f"--data-dir={folder / 'etcd'}", f"--listen-client-urls={store}"]
    storing += [f"--advertise-client-urls={store}", f"--listen-peer-urls={peer}"]
    storing += [f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}"]
    serving = [apiserver, f"--etcd-servers={store}", f"--secure-port={port}", "--bind-address=127.0.0.1"]
    serving += [f"--cert-dir={folder / 'certificates'}", f"--token-auth-file={folder / 'tokens.csv'}"]
    serving += ["--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24"]
    serving += [f"--service-account-key-file={public}", f"--service-account-signing-key-file={private}"]
    serving += ["--service-account-issuer=https://kubernetes.default.svc", *options]
    with process(storing, folder / "etcd.log"), process(serving, folder / "apiserver.log"):
        yield Cluster(kubectl=kubectl, url=f"https://127.0.0.1:{port}", folder=folder)


def register(place: Cluster, port: int, certificate: Path) -> None:
    """Have the API server ask a webhook at this port about everything in the namespace, and wait until it does."""
    trusted = base64.b64encode(certificate.read_bytes()).decode()
    place.ask("create", "namespace", NAMESPACE)
    place.ask("label", "namespace", NAMESPACE, "lamslsa.dev/gate=on")
    webhook = {
        "name": "gate.lamslsa.dev",
        "clientConfig": {"url": f"https://127.0.0.1:{port}/admit", "caBundle": trusted},
        "rules": [{**each, "operations": ["*"], "scope": "Namespaced"} for each in _RESOURCES],
        "namespaceSelector": {"matchLabels": {"lamslsa.dev/gate": "on"}},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "timeoutSeconds": 10,
    }
    place.ask(
        *("create", "-f", "-"),
        document={
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "gate"},
            "webhooks": [webhook],
        },
    )


def matches(step: Step, review: Mapping[str, Any]) -> bool:
    """Whether a review is the one that a step is about."""
    request = review["request"]
    resource, _, below = step.resource.partition("/")
    return (request["operation"], request["resource"]["resource"], request.get("subResource", "")) == (
        step.operation,
        resource,
        below,
    )


def write(folder: Path, review: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """One vector."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, document in (("review", review), ("expected", expected)):
        (folder / f"{name}.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def record(place: Cluster, recorder: Recorder, into: Path) -> list[str]:
    """Do every step, and write what came of it; the names of the folders.

    Raises:
        RuntimeError: a step brought no review of its kind.
    """
    version = place.version()
    prefix = f"recorded-{version[0]}.{version[1]}-"
    written: list[str] = []
    for step in STEPS:
        if not step.since <= version < step.until:
            continue
        before = len(recorder.asked)
        told = place.ask(*step.arguments, document=step.manifest(version), check=not step.may_fail)
        came = [(head, review) for head, review in recorder.asked[before:] if matches(step, review)]
        if not came:
            raise RuntimeError(f"{step.name}: expected a review of {step.operation} {step.resource}, got none: {told}")
        if not step.name:
            continue
        head, review = came[-1]
        write(into / f"{prefix}{step.name}", review, step.expected)
        if not written:
            (into / f"{prefix}head.txt").write_bytes(head.encode("ascii"))
        written.append(f"{prefix}{step.name}")
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program; its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in ("apiserver", "etcd", "kubectl"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--option", action="append", default=[], help="for the API server")
    parser.add_argument("--into", type=Path, default=Path(__file__).parent)
    given = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="recording-"))
    certificate, key = certify(folder)
    recorder = Recorder()
    with (
        recorder.listening(certificate, key) as port,
        cluster(given.apiserver, given.etcd, given.kubectl, given.option, folder) as place,
    ):
        place.version()
        register(place, port, certificate)
        for command, document in BEFORE:
            place.ask(*command, document=document)
        written = record(place, recorder, given.into)
    shutil.rmtree(folder)
    sys.stdout.write("".join(f"{name}\n" for name in written))
    return 0


if __name__ == "__main__":
    sys.exit(main())
