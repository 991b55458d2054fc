from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3

from lamslsa.testing.registry import Delay, Fault, Meanwhile, Registry

Ask = Callable[..., Any]


def test_it_says_that_it_is_a_registry(registry: Registry, ask: Ask) -> None:
    assert [ask("GET", path).status for path in ("/v2/", "/v2")] == [200, 200]
    assert registry.url == f"http://{registry.host}"
    assert registry.host.startswith("127.0.0.1:")
    assert registry.ca_file is None


def test_the_log(registry: Registry, ask: Ask) -> None:
    digest = registry.contents.add_blob("a", b"weights")
    ask("GET", f"/v2/a/blobs/{digest}?x=1", headers={"X-Test": "a b"})
    ask("HEAD", f"/v2/a/blobs/{digest}")
    ask("POST", "/v2/a/blobs/uploads/", body=b"123")
    get, head, post = registry.requests
    assert (get.method, get.path, get.query, get.status) == ("GET", f"/v2/a/blobs/{digest}", "x=1", 200)
    assert (get.headers["x-test"], get.authorization) == ("a b", None)
    assert [(request.received, request.sent) for request in (get, head, post)] == [(0, 7), (0, 0), (3, 0)]
    assert [registry.count(), registry.count("GET"), registry.count("GET|HEAD", "/blobs/"), registry.count("PUT")] == [
        3,
        1,
        2,
        0,
    ]
    registry.forget_requests()
    assert registry.requests == []


def test_a_folder_outlives_its_registry(tmp_path: Path, ask: Ask, pool: urllib3.PoolManager) -> None:
    with Registry(tmp_path) as first:
        digest = first.contents.add_blob("a", b"weights")
        manifest = first.contents.add_manifest("a", b'{"subject": {"digest": "sha256:1"}}', "a/b", tag="v1")
        upload = ask("POST", f"{first.url}/v2/a/blobs/uploads/").headers["Location"]
    with Registry(tmp_path) as second:
        assert ask("GET", f"{second.url}/v2/a/blobs/{digest}").data == b"weights"
        assert ask("GET", f"{second.url}/v2/a/manifests/v1").headers["Docker-Content-Digest"] == manifest
        assert [kept.digest for kept in second.contents.referrers("a", "sha256:1")] == [manifest]
        assert ask("GET", second.url + upload).status == 404
        assert list(second.contents.uploads.iterdir()) == []


def test_tls(serve: Callable[..., Registry]) -> None:
    registry = serve(tls=True)
    digest = registry.contents.add_blob("a", b"weights" * 100_000)
    assert registry.url.startswith("https://")
    assert registry.ca_file is not None
    context = ssl.create_default_context(cafile=registry.ca_file)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with urllib3.PoolManager(ssl_context=context, retries=False) as pool:
        for host in (registry.url, registry.url.replace("127.0.0.1", "localhost")):
            assert pool.request("GET", f"{host}/v2/a/blobs/{digest}").data == b"weights" * 100_000
            assert pool.request("POST", f"{host}/v2/b/blobs/uploads/?digest={digest}", body=b"x").status == 400
    with urllib3.PoolManager(retries=False) as pool, pytest.raises(urllib3.exceptions.SSLError):
        pool.request("GET", registry.url + "/v2/")


def test_no_key_is_left_in_the_folder(serve: Callable[..., Registry], tmp_path: Path) -> None:
    serve(tls=True)
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or b"PRIVATE KEY" not in file.read_bytes()


def test_closing_does_not_wait_for_clients(tmp_path: Path, pool: urllib3.PoolManager) -> None:
    with Registry(tmp_path) as registry:
        registry.faults.add(Fault("GET", "", Delay(60)))
        failed = threading.Event()

        def wait() -> None:
            with pytest.raises(urllib3.exceptions.HTTPError):
                pool.request("GET", registry.url + "/v2/never")
            failed.set()

        assert pool.request("HEAD", registry.url + "/v2/").status == 200  # a connection that stays open
        waiting = threading.Thread(target=wait)
        waiting.start()
        while len(registry.faults):
            failed.wait(0.001)
    waiting.join(10)
    assert failed.is_set()


def test_a_blob_may_be_larger_than_memory(serve: Callable[..., Registry], ask: Ask) -> None:
    registry = serve()
    digest = registry.contents.add_blob("a", b"")
    os.truncate(registry.contents.blob_path(digest), 1 << 40)
    answer = ask("GET", f"{registry.url}/v2/a/blobs/{digest}", headers={"Range": f"bytes={(1 << 40) - 5}-"})
    assert (answer.status, answer.data) == (206, bytes(5))
    assert ask("HEAD", f"{registry.url}/v2/a/blobs/{digest}").headers["Content-Length"] == str(1 << 40)


def test_a_bug_in_a_hook_is_shown(serve: Callable[..., Registry], ask: Ask, capfd: pytest.CaptureFixture[str]) -> None:
    registry = serve()
    registry.faults.add(Fault("GET", "", Meanwhile(lambda: 1 // 0)))
    with pytest.raises(urllib3.exceptions.ProtocolError):
        ask("GET", registry.url + "/v2/")
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_as_a_program(tmp_path: Path, ask: Ask) -> None:
    command = [sys.executable, "-m", "lamslsa.testing.registry", "--folder", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        host = program.stdout.readline().strip()
        assert ask("GET", f"http://{host}/v2/").status == 200
        program.send_signal(signal.SIGINT)
        assert program.wait(10) == 0
