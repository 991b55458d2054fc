"""``lamslsa admission serve`` as a process: it serves, and SIGTERM under load leaves nobody without an answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from lamslsa._cli.main import main
from tests.unit.admission.conftest import Place
from tests.unit.admission.serving import Running, certify
from tests.unit.admission.test_review import VECTORS

ORIGINAL = "registry.example/team/census@sha256:" + "3f" * 32


def test_it_serves_and_stops(place: Place, tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    certificate, key = certify(tmp_path / "tls")
    command = [sys.executable, "-m", "lamslsa", "admission", "serve", "--policy", str(place.policy_path)]
    command += ["--registry", place.host, "--plain-http", "--certificate", str(certificate), "--key", str(key)]
    command += ["--host", "127.0.0.1", "--port", "0", "--drain", "2"]
    environ = {**os.environ, "DOCKER_CONFIG": str(tmp_path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ) as process:
        try:
            assert process.stderr is not None
            first = json.loads(process.stderr.readline())
            assert (first["event"], first["policy"]) == ("listening", f"sha256:{place.policy.closure}")
            client: Any = Running(
                service=None,  # type: ignore[arg-type]  # it is another process
                port=first["port"],
                log=[],
                certificate=certificate,
                thread=threading.current_thread(),
            )
            review = (VECTORS / "pod-image-volume" / "review.json").read_text()
            body = review.replace(ORIGINAL, str(place.model).removeprefix("oci://")).encode()
            assert client.admit(body)["allowed"] is True
            assert "admission-registry" in client.admit(review.encode())["status"]["message"]
            answers: list[bool] = []
            stopping = threading.Event()

            def load() -> None:
                for _ in range(5):
                    answers.append(client.admit(body)["allowed"])
                    stopping.wait(0.01)

            asking = [threading.Thread(target=load) for _ in range(4)]
            for each in asking:
                each.start()
            process.send_signal(signal.SIGTERM)
            for each in asking:
                each.join(10)
            assert answers == [True] * 20
            rest = process.stderr.read()
            assert process.wait(20) == 0, rest
            events = [json.loads(line) for line in rest.splitlines()]
            assert [each["event"] for each in events if each["event"] != "decision"] == ["stopping", "stopped"]
        finally:
            if process.poll() is None:
                process.kill()


def test_a_first_policy_or_certificate_that_is_no_good(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tls").mkdir()
    certificate, key = certify(tmp_path / "tls")
    common = ["admission", "serve", "--registry", place.host, "--certificate", str(certificate), "--key", str(key)]
    missing = [*common, "--policy", str(tmp_path / "none.yaml"), "--format", "json"]
    assert main(missing) == 3
    for option, value in (
        ("image", "registry.example/lamslsa:1"),
        ("memory", "1024Mi"),
        ("cpu", "0.5"),
        ("attestations", "$(X)"),
    ):
        options = [f"--verifier-{option}", value, "--policy", str(place.policy_path), "--format", "json"]
        assert main([*common, *options]) == 3
        assert "admission-verifier-option" in capsys.readouterr().out
    certificate.write_text("rubbish")
    assert main([*common, "--policy", str(place.policy_path), "--format", "json"]) == 3
    assert "admission-certificate" in capsys.readouterr().out
    assert main(["admission", "serve", "--policy", str(place.policy_path)]) == 2
