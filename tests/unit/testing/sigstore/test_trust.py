"""What clients are given: trusted root, configurations, and the command that serves other programs."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import pytest
import urllib3

from lamslsa.testing.sigstore import LocalSigstore, Rekor


def test_one_line(local_sigstore: LocalSigstore) -> None:
    text = local_sigstore.trusted_root_json()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert json.loads(text) == local_sigstore.trusted_root()


def test_logs_are_found_by_their_checkpoints(local_sigstore: LocalSigstore) -> None:
    hosts = [urlsplit(log["baseUrl"]).hostname for log in local_sigstore.trusted_root()["tlogs"]]
    v1 = urllib3.request("GET", f"{local_sigstore.url}/api/v1/log").json()["signedTreeHead"]
    v2 = urllib3.request("GET", f"{local_sigstore.url}/api/v2/checkpoint").data.decode()
    for host, checkpoint in zip(hosts, (v1, v2), strict=True):
        assert checkpoint.splitlines()[0].split(" - ")[0] == host
        assert f"\u2014 {host} " in checkpoint


@pytest.mark.parametrize(("rekor", "tsa"), [(1, True), (1, False), (2, True), (2, False)])
def test_signing_config(local_sigstore: LocalSigstore, rekor: Rekor, tsa: bool) -> None:
    config = json.loads(local_sigstore.trust_config_json(rekor, tsa=tsa))["signingConfig"]
    assert [service["majorApiVersion"] for service in config["rekorTlogUrls"]] == [rekor]
    assert [service["url"] for service in config["tsaUrls"]] == [f"{local_sigstore.url}/api/v1/timestamp"] * tsa
    assert [service["url"] for service in config["oidcUrls"]] == [local_sigstore.issuer]


def test_instances_share_nothing(local_sigstore: LocalSigstore) -> None:
    with LocalSigstore() as other:
        ours, theirs = local_sigstore.trusted_root(), other.trusted_root()
    for name in ("tlogs", "ctlogs", "certificateAuthorities", "timestampAuthorities"):
        for one, another in zip(ours[name], theirs[name], strict=True):
            assert one.get("publicKey", one.get("certChain")) != another.get("publicKey", another.get("certChain"))


def test_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lamslsa.testing.sigstore", "--out", str(tmp_path / "out"), "--subject", "x:a"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready, url = process.stdout.readline().split()
        assert ready == "READY"
        out = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "out").iterdir()}
        assert json.loads(out["trust_config_v2.json"])["trustedRoot"] == json.loads(out["trusted_root.json"])
        assert json.loads(out["trust_config_v1.json"])["signingConfig"]["caUrls"][0]["url"] == url
        assert urllib3.request("GET", f"{url}/tuf/1.root.json").data.decode() == out["root.json"]
        assert jwt.decode(out["token0"], options={"verify_signature": False})["sub"] == "x:a"
        assert stat.S_IMODE((tmp_path / "out" / "token").stat().st_mode) == 0o600
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
