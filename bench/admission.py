"""How long a cluster waits at the gate: reviews of one Pod whose model is known, or is not.

    python bench/admission.py [--seconds SECONDS] [--rate COUNT] [--known COUNT]

The model has the chain of the tests: two datasheets, a training and an evaluation, each signed and quoted.

Gate and registry are processes of their own on this machine, the gate over TLS 1.3 and held to one processor; the
registry speaks http. Each of eight connections sends at times that were set beforehand, and an answer is timed from
when its request was due, so that an answer that is late makes the next ones late as well. A review that is not known
yet is one of a gate that keeps nothing; these are asked one after the other.
Limits: 99 of 100 within 20 ms where the verdict is known, at 200 requests a second for a minute, and within 150 ms
where it is not; no request refused or lost; at most 16 MiB more memory after 50,000 further requests than before.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lamslsa.evidence.nonce import Nonce
from lamslsa.store import open_artifact_store
from lamslsa.store.oci import Options
from lamslsa.store.transfer import copy

ROOT: Final = Path(__file__).resolve().parent.parent
REVIEW: Final = ROOT / "tests" / "vectors" / "admission" / "pod-image-volume" / "review.json"
ORIGINAL: Final = "registry.example/team/census@sha256:" + "3f" * 32
KNOWN_MS, UNKNOWN_MS, MORE_MIB = 20.0, 150.0, 16.0
CONNECTIONS: Final = 8


def certify(folder: Path) -> tuple[Path, Path]:
    """A certificate for this machine, and its key."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=gate", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, stderr=subprocess.DEVNULL)
    return certificate, key


@contextlib.contextmanager
def process(*words: str | Path, stream: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command, and the first line that it writes; it is ended after."""
    pipes = {stream: subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-m", *map(str, words)], text=True, **pipes) as running:  # type: ignore[call-overload]
        lines = running.stdout if stream == "stdout" else running.stderr
        first = lines.readline().strip()
        threading.Thread(target=lambda: [None for _ in lines], daemon=True).start()
        try:
            yield running, first
        finally:
            running.terminate()
            running.wait()


class Gate:
    """A gate that runs, and its clients."""

    def __init__(self, running: subprocess.Popen[str], first: str, certificate: Path, body: bytes) -> None:
        self.pid = running.pid
        self.port = json.loads(first)["port"]
        self.trusted = ssl.create_default_context(cafile=certificate)
        self.body = body

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.trusted, timeout=30)

    def ask(self, connection: http.client.HTTPSConnection) -> None:
        connection.request("POST", "/admit?timeout=10s", self.body, {"Content-Type": "application/json"})
        response = json.load(connection.getresponse())["response"]
        if not response["allowed"]:
            raise SystemExit(response["status"]["message"])

    def memory(self) -> float:
        """MiB that are resident."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def one_by_one(self, count: int) -> list[float]:
        """Milliseconds of each of so many requests over one connection."""
        connection, taken = self.connect(), []
        for _ in range(count):
            started = time.perf_counter()
            self.ask(connection)
            taken.append((time.perf_counter() - started) * 1000)
        connection.close()
        return taken

    def at_rate(self, rate: float, seconds: float) -> list[float]:
        """Milliseconds from when each request was due to its answer."""
        start = time.perf_counter() + 0.5
        taken: list[list[float]] = [[] for _ in range(CONNECTIONS)]

        def client(number: int, mine: list[float]) -> None:
            connection = self.connect()
            for index in range(number, int(rate * seconds), CONNECTIONS):
                due = start + index / rate
                time.sleep(max(0.0, due - time.perf_counter()))
                self.ask(connection)
                mine.append((time.perf_counter() - due) * 1000)
            connection.close()

        threads = [threading.Thread(target=client, args=(number, mine)) for number, mine in enumerate(taken)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [each for mine in taken for each in mine]


@contextlib.contextmanager
def gate(policy: Path, reference: str, folder: Path, *options: str) -> Iterator[Gate]:
    """A gate on one processor that has the policy."""
    certificate, key = certify(folder)
    host = reference.removeprefix("oci://").partition("/")[0]
    words: list[str | Path] = ["lamslsa", "admission", "serve", "--policy", policy, "--registry", host]
    words += ["--plain-http", "--certificate", certificate, "--key", key, "--host", "127.0.0.1", "--port", "0"]
    body = REVIEW.read_text().replace(ORIGINAL, reference.removeprefix("oci://")).encode()
    with process(*words, "--drain", "0", *options, stream="stderr") as (running, first):
        if hasattr(os, "sched_setaffinity"):
            for task in Path(f"/proc/{running.pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), {min(os.sched_getaffinity(0))})
        yield Gate(running, first, certificate, body)


def prepare(folder: Path, host: str) -> tuple[Path, str]:
    """A policy, and the model that it accepts in a registry, by digest."""
    sys.path.insert(0, str(ROOT))
    from tests.cli.world import World

    folder.mkdir()
    world = World.of(folder)
    world.publish(Nonce.random())
    target = open_artifact_store(f"oci://{host}/team/census:v1", options=Options(plain_http=True))
    return world.policy(), copy(open_artifact_store(str(world.model)), target).reference


def p99(taken: list[float]) -> float:
    """What 99 of 100 do not exceed."""
    return sorted(taken)[max(0, -(-len(taken) * 99 // 100) - 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--known", type=int, default=50_000, help="further requests, for the memory")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        serving = ("lamslsa.testing.registry", "--folder", folder / "registry")
        with process(*serving, stream="stdout") as (_, url):
            host = url.removeprefix("http://")
            policy, reference = prepare(folder / "world", host)
            with gate(policy, reference, folder, "--keep-accepted", "0", "--keep-refused", "0") as running:
                running.one_by_one(2)
                unknown = p99(running.one_by_one(100))
            with gate(policy, reference, folder) as running:
                running.one_by_one(100)
                known = p99(running.at_rate(words.rate, words.seconds))
                before = running.memory()
                running.one_by_one(words.known)
                more = running.memory() - before
    rows = (
        (f"known, {words.rate:g}/s for {words.seconds:g} s: p99", known, KNOWN_MS, "ms"),
        ("not known: p99", unknown, UNKNOWN_MS, "ms"),
        (f"memory more after {words.known:,}", more, MORE_MIB, "MiB"),
    )
    for what, value, limit, unit in rows:
        print(f"{what:44} {value:8.1f} {unit:3}  limit {limit:g}")
    if any(value > limit for _, value, limit, _ in rows):
        raise SystemExit("a limit is exceeded")


if __name__ == "__main__":
    main()
