"""Debian's docker-registry as a process of its own on loopback: a real registry without the referrers API."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.interop.peers import require

_LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)")
_PATIENCE = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerRegistry:
    """A running docker-registry of our own.

    Attributes:
        host: ``127.0.0.1:PORT``.
        ca: PEM file of the authority that issued its certificate; None where it speaks plain HTTP.
        user: who may read and write; empty where everybody may.
        storage: the folder in which it keeps everything.
    """

    host: str
    storage: Path
    ca: Path | None = None
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        return f"{'https' if self.ca else 'http'}://{self.host}"


@contextmanager
def running(folder: Path, *, guarded: bool) -> Iterator[DockerRegistry]:
    """One docker-registry process on a port that the system chose, until the block is left."""
    program = require("docker-registry", package="docker-registry")
    password = secrets.token_urlsafe(12)
    http: dict[str, object] = {"addr": "127.0.0.1:0", "secret": secrets.token_hex(16)}
    configuration: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}, "delete": {"enabled": True}},
        "http": http,
    }
    if guarded:
        http["tls"] = _certificates(folder)
        configuration["auth"] = {"htpasswd": {"realm": "interop", "path": str(_htpasswd(folder, password))}}
    (folder / "config.yml").write_text(json.dumps(configuration))  # YAML is a superset of JSON
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "serve", str(folder / "config.yml")], stdout=output, stderr=output, cwd=folder, env={}
        )
    try:
        host = _listening(process, log)
        if guarded:
            yield DockerRegistry(
                host=host, storage=folder / "storage", ca=folder / "ca.pem", user="publisher", password=password
            )
        else:
            yield DockerRegistry(host=host, storage=folder / "storage")
    finally:
        process.kill()
        process.wait()


def _listening(process: subprocess.Popen[bytes], log: Path) -> str:
    """The address from the registry's own log: its socket is open once it says so."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if found := _LISTENING.search(log.read_text()):
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.01)
    raise AssertionError(f"docker-registry did not start: {log.read_text()}")


def _htpasswd(folder: Path, password: str) -> Path:
    program = require("htpasswd", package="apache2-utils")
    command = [program, "-niB", "-C", "4", "publisher"]
    line = subprocess.run(command, input=password, text=True, capture_output=True, check=True)
    path = folder / "htpasswd"
    path.write_text(line.stdout)
    return path


def _certificates(folder: Path) -> dict[str, str]:
    """An authority and a certificate for 127.0.0.1 and localhost."""
    now = dt.datetime.now(dt.UTC)
    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "interop CA")])
    builder = x509.CertificateBuilder().issuer_name(issuer).not_valid_before(now - dt.timedelta(hours=1))
    builder = builder.not_valid_after(now + dt.timedelta(days=1))
    ca = (
        builder.subject_name(issuer)
        .serial_number(x509.random_serial_number())
        .public_key(authority.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority.public_key()), critical=False)
        .add_extension(_usage(authority=True), critical=True)
        .sign(authority, hashes.SHA256())
    )
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    leaf = (
        builder.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]))
        .serial_number(x509.random_serial_number())
        .public_key(server.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(authority, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(ca.public_bytes(Encoding.PEM))
    (folder / "server.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    (folder / "server.key").write_bytes(server.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return {"certificate": str(folder / "server.pem"), "key": str(folder / "server.key")}


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
