"""A gate that listens on this machine, with a certificate of its own, and a client of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import http.client
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from lamslsa.admission.appraiser import Judge
from lamslsa.admission.certificates import Certificates
from lamslsa.admission.policy_file import PolicyFile
from lamslsa.admission.service import Service, Settings
from lamslsa.policy.opening import open_policy

SETTINGS: dict[str, Any] = {"registries": ("registry.example",), "watch_s": 0.02, "drain_s": 0.0, "grace_s": 5.0}


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def certify(folder: Path, *, days: float = 1, name: str = "gate", passphrase: bytes = b"") -> tuple[Path, Path]:
    """Write a certificate for this machine, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    ends = now() + dt.timedelta(days=days)
    made = (
        x509.CertificateBuilder(
            subject, subject, key.public_key(), x509.random_serial_number(), ends - dt.timedelta(9), ends
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "tls.crt", folder / "tls.key"
    hidden = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden))
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    return certificate, private


@dataclass(kw_only=True)
class Running:
    """A gate that listens."""

    service: Service
    port: int
    log: list[tuple[str, Mapping[str, Any]]]
    certificate: Path
    thread: threading.Thread
    trusted: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        self.trusted = ssl.create_default_context(cafile=self.certificate)

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.trusted, timeout=10)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
        connection = self.connect()
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def admit(self, body: bytes, path: str = "/admit") -> dict[str, Any]:
        status, text = self.ask("POST", path, body)
        assert status == 200, text
        response: dict[str, Any] = json.loads(text)["response"]
        return response

    def events(self, name: str) -> list[Mapping[str, Any]]:
        return [about for event, about in self.log if event == name]


@contextmanager
def serving(judge: Judge, policy: Path, folder: Path, **settings: Any) -> Iterator[Running]:
    folder.mkdir(exist_ok=True)
    certificate, key = certify(folder)
    log: list[tuple[str, Mapping[str, Any]]] = []
    service = Service(
        judge,
        policy=PolicyFile(policy, lambda: open_policy(str(policy)), now=now),
        certificates=Certificates(certificate, key),
        settings=Settings(**{**SETTINGS, **settings}),
        log=lambda event, about: log.append((event, about)),
    )
    ports: list[int] = []
    begun = threading.Event()

    def started(port: int) -> None:
        ports.append(port)
        begun.set()

    thread = threading.Thread(target=lambda: asyncio.run(service.run("127.0.0.1", 0, started=started)))
    thread.start()
    try:
        assert begun.wait(10)
        yield Running(service=service, port=ports[0], log=log, certificate=certificate, thread=thread)
    finally:
        if thread.is_alive():
            service.stop()
        thread.join(20)
        assert not thread.is_alive()
