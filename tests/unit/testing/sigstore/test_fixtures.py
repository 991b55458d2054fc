"""The fixtures that users get: one Sigstore for the session, whose faults end with a test, and a fresh registry."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import urllib3

from lamslsa.testing.sigstore import LocalSigstore

TESTS = """
import datetime as dt
import urllib3

seen = []

def test_faults(faulty_sigstore):
    faulty_sigstore.faults.fail("trust-bundle", 500)
    faulty_sigstore.tsa.clock.offset = dt.timedelta(hours=1)
    seen.append(faulty_sigstore)

def test_none(local_sigstore):
    assert seen == [local_sigstore]
    assert urllib3.request("GET", local_sigstore.url + "/api/v2/trustBundle").status == 200
    assert not local_sigstore.tsa.clock.offset

def test_registry(oci_registry, tmp_path):
    assert (tmp_path / "registry").is_dir()
"""


def test_plugin(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["lamslsa.testing.fixtures"]\n', encoding="utf-8")
    (tmp_path / "test_it.py").write_text(TESTS, encoding="utf-8")
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-W", "error", f"--rootdir={tmp_path}"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        *options,
        "--basetemp",
        str(tmp_path / "tmp"),
        str(tmp_path / "test_it.py"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_offline_clock(local_sigstore: LocalSigstore) -> None:
    """A clock of one's own dates everything, certificates of the authorities included."""
    start = dt.datetime(2031, 5, 1, 12, tzinfo=dt.UTC)
    with LocalSigstore(clock=lambda: start) as sigstore:
        assert sigstore.oidc.verify(sigstore.token())["iat"] == start.timestamp() - 5
        assert sigstore.fulcio.chain[0].not_valid_before_utc == start - dt.timedelta(days=365)
        assert urllib3.request("GET", f"{sigstore.url}/api/v2/trustBundle").status == 200
    assert local_sigstore.url != sigstore.url
