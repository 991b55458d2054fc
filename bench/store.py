"""What a registry costs: pushing and pulling a model, against skopeo and a plain socket; attaching and listing bundles.

    python bench/store.py [--size MIB] [--files COUNT] [--rounds COUNT] [--bundles COUNT] [--folder DIR]

The registry is that of `lamslsa.testing`, in a process of its own on this machine, without TLS; every push meets an
empty one, so nothing is skipped. Sides take turns and the order changes with the round; before each the disk is brought
up to date. Times are medians of the rounds, ratios medians of those within a round: the time of the faster of skopeo
and the socket copy over that of lamslsa. Beside them stands what the client took of the processors.

- lamslsa is the command line, its start included. From an image layout the digests are known, as they are to skopeo; of
  a folder every byte is hashed before the first is sent, since the identity has to be known, and again on its way out.
- skopeo is ``skopeo copy --preserve-digests`` from the same layout, and into a folder (``dir:``).
- The socket copy sends the files from one process over one connection (sendfile); another receives, hashes and writes
  them. Their start is not counted.

Who pulls flushes every file to the disk, the socket copy too; the registry flushes nothing, and neither does the socket
copy beside a push. Where the disk is slower than the work, ratios say little: name a folder in memory; on a
machine that is busy otherwise they vary much, since start and waiting weigh more than the work. The folder takes twice
the bytes of the files, and all of it is removed after.
Limits: at least 0.8 of the faster peer for a push from a layout and for a pull; for every command at most 100 MiB of
memory, the largest resident set of its process (getrusage(2)).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
RATIO_LIMIT, MEMORY_LIMIT_MIB = 0.8, 100.0
KIB, MIB = 1024, 1024 * 1024
BLOCK = 512 * KIB
LAMSLSA, SKOPEO = str(Path(sys.executable).parent / "lamslsa"), shutil.which("skopeo")
PEERS = ("skopeo", "socket copy")


class Spent(NamedTuple):
    """What one run took: seconds by the clock and on a processor, MiB of memory; 0 where that is not known."""

    seconds: float
    cpu: float = 0.0
    memory: float = 0.0


Work = Callable[[], Spent]
Rounds = dict[str, list[Spent]]


class Places:
    """Folders below one."""

    def __init__(self, folder: Path) -> None:
        self.model, self.layout, self.registry, self.target = (
            folder / name for name in ("model", "layout", "registry", "target")
        )


def run(*command: str | Path) -> Spent:
    """What a command takes; what it says is shown if it fails.

    A child begins with the maximum of the process that starts it, so this one imports little.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        child = subprocess.Popen([str(word) for word in command], stdout=said, stderr=said, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            sys.exit(f"{command}: {said.read().decode(errors='replace')}")
    return Spent(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / KIB)


def skopeo(*words: str) -> Spent:
    assert SKOPEO is not None
    return run(SKOPEO, "--insecure-policy", "copy", "--quiet", "--preserve-digests", *words)


@contextlib.contextmanager
def registry(folder: Path) -> Iterator[str]:
    """The host of an empty registry, which is gone after."""
    command = [sys.executable, "-m", "lamslsa.testing.registry", "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()
            server.wait()
            shutil.rmtree(folder)


def receive(folder: Path, *, flush: bool) -> None:
    """The other end of `over_socket`: says its port, then receives, hashes and writes, and answers with each digest."""
    buffer = memoryview(bytearray(BLOCK))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        line, _ = listening.accept()
    with line, line.makefile("rb", buffering=0) as stream:
        while head := stream.readline():
            name, size = head.decode().split()
            left, digest = int(size), hashlib.sha256()
            with (folder / name).open("wb", buffering=0) as file:
                while left:
                    got = line.recv_into(buffer[: min(left, BLOCK)])
                    assert got, "the sender is gone"
                    digest.update(buffer[:got])
                    file.write(buffer[:got])
                    left -= got
                if flush:
                    os.fsync(file.fileno())
            line.sendall(digest.digest())


def over_socket(source: Path, target: Path, *, flush: bool) -> Spent:
    """A plain copy of every file of a folder into a new one."""
    target.mkdir()
    command = [sys.executable, __file__, "--receive", str(target), *(["--flush"] if flush else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        with socket.create_connection(("127.0.0.1", int(receiver.stdout.readline()))) as line:
            began = time.perf_counter()
            for path in sorted(source.iterdir()):
                line.sendall(f"{path.name} {path.stat().st_size}\n".encode())
                with path.open("rb") as file:
                    line.sendfile(file)
                line.recv(hashlib.sha256().digest_size, socket.MSG_WAITALL)
            return Spent(time.perf_counter() - began)


def make_model(places: Places, size: int, count: int) -> None:
    """Files of a size in MiB that differ, and an image layout that has the very same files as its blobs."""
    places.model.mkdir()
    block = os.urandom(MIB)
    digests = {}
    for number in range(count):
        path, digest = places.model / f"{number}.bin", hashlib.sha256()
        with path.open("wb") as file:
            for part in range(size):
                piece = f"{number:8}{part:8}".encode() + block[16:]
                digest.update(piece)
                file.write(piece)
        digests[path] = digest.hexdigest()
    run(LAMSLSA, "push", places.model, f"oci-layout:{places.layout}:v1")
    for path, sha256 in digests.items():
        path.unlink()
        path.hardlink_to(places.layout / "blobs" / "sha256" / sha256)


def in_turns(sides: Mapping[str, Work], rounds: int) -> Rounds:
    """What each side takes, round by round."""
    taken: Rounds = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides)[:: -1 if number % 2 else 1]:
            os.sync()
            taken[name].append(sides[name]())
    return taken


def push(places: Places, rounds: int) -> Rounds:
    layout = f"oci-layout:{places.layout}:v1"

    def lamslsa(source: str | Path) -> Work:
        def work() -> Spent:
            with registry(places.registry) as host:
                return run(LAMSLSA, "push", "--plain-http", source, f"oci://{host}/bench/model:v1")

        return work

    def with_skopeo() -> Spent:
        with registry(places.registry) as host:
            source, target = layout.removeprefix("oci-layout:"), f"docker://{host}/bench/model:v1"
            return skopeo("--dest-tls-verify=false", f"oci:{source}", target)

    def plain() -> Spent:
        taken = over_socket(places.model, places.target, flush=False)
        shutil.rmtree(places.target)
        return taken

    sides = {"push, from a layout": lamslsa(layout), "push, from a folder": lamslsa(places.model)}
    return in_turns(sides | ({"skopeo": with_skopeo} if SKOPEO else {}) | {"socket copy": plain}, rounds)


def pull(places: Places, reference: str, rounds: int) -> Rounds:
    """The socket copy sends the registry's own blobs, so that nothing else has to be kept."""
    blobs = places.registry / "blobs" / "sha256"

    def cleaned(work: Work) -> Work:
        def cleaning() -> Spent:
            taken = work()
            shutil.rmtree(places.target)
            return taken

        return cleaning

    sides: dict[str, Work] = {
        "pull": lambda: run(LAMSLSA, "pull", "--plain-http", f"oci://{reference}", places.target),
        "skopeo": lambda: skopeo("--src-tls-verify=false", f"docker://{reference}", f"dir:{places.target}"),
        "socket copy": lambda: over_socket(blobs, places.target, flush=True),
    }
    if not SKOPEO:
        del sides["skopeo"]
    return in_turns({name: cleaned(work) for name, work in sides.items()}, rounds)


def sign(reference: str, folder: Path, count: int) -> None:
    """An evaluation for each number, signed with one key."""
    from lamslsa.sign import KeySigner, generate
    from lamslsa.store.oci import OciStore, Options
    from lamslsa.testing import chain

    signer = KeySigner.load(generate(None), None)
    with OciStore(reference, Options(plain_http=True)) as store:
        manifest = store.manifest()
    for number in range(count):
        payload = chain.evaluated(manifest, metrics=[chain.metric("accuracy", number / count)])
        (folder / f"{number}.sigstore.json").write_bytes(signer.sign(payload))


def bundles(places: Places, reference: str, count: int) -> Rounds:
    """Attach bundles to the model by one command, and list them by another."""
    places.target.mkdir()
    run(sys.executable, __file__, "--sign", f"oci://{reference}", "--folder", places.target, "--bundles", str(count))
    attached = run(LAMSLSA, "attach", "--plain-http", f"oci://{reference}", places.target)
    listed = run(LAMSLSA, "list", "--plain-http", f"oci://{reference}")
    return {f"attach {count} bundles": [attached], f"list {count} bundles": [listed]}


def show(taken: Rounds, size: int, limited: str) -> bool:
    """Print a line for each side, and say whether all are within their limits; `size` in MiB is 0 for no bytes."""
    kept = True
    peers = [[run.seconds for run in runs] for name, runs in taken.items() if name in PEERS]
    fastest = [min(times) for times in zip(*peers, strict=True)]
    for name, runs in taken.items():
        seconds, cpu = (statistics.median(run[field] for run in runs) for field in (0, 1))
        memory = max(run.memory for run in runs)
        speed = f"{size / seconds:.0f} MiB/s" if size else ""
        spent = f"{cpu:.2f} s" if cpu else ""
        line = f"{name:<22}{seconds:>8.2f} s{speed:>12}{spent:>10}"
        if name not in PEERS:
            ratio = (
                statistics.median(peer / run.seconds for peer, run in zip(fastest, runs, strict=True)) if size else 0
            )
            limit = f">= {RATIO_LIMIT}" if name == limited else ""
            kept &= (ratio >= RATIO_LIMIT or name != limited) and memory <= MEMORY_LIMIT_MIB
            line += f"{f'{ratio:.2f}' if size else '':>8}  {limit:<6}{memory:>8.0f} MiB  <= {MEMORY_LIMIT_MIB:.0f} MiB"
        print(line.rstrip(), flush=True)
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, help="MiB of each file")
    parser.add_argument("--files", type=int, default=4, help="number of files")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bundles", type=int, default=200, help="number of bundles")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "bench", help="where everything is written")
    parser.add_argument("--receive", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--flush", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--sign", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.receive:
        receive(given.receive, flush=given.flush)
        return
    if given.sign:
        sign(given.sign, given.folder, given.bundles)
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    total = given.size * given.files
    print(f"{given.files} files of {given.size} MiB, {given.rounds} rounds" + ("" if SKOPEO else "; no skopeo here"))
    print(f"{'':<22}{'time':>10}{'':>12}{'cpu':>10}{'ratio':>8}{'':>8}{'memory':>12}")
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="store-") as folder:
        places = Places(Path(folder))
        make_model(places, given.size, given.files)
        kept = show(push(places, given.rounds), total, "push, from a layout")
        with registry(places.registry) as host:
            reference = f"{host}/bench/model:v1"
            run(LAMSLSA, "push", "--plain-http", f"oci-layout:{places.layout}:v1", f"oci://{reference}")
            shutil.rmtree(places.model)
            shutil.rmtree(places.layout)
            kept &= show(pull(places, reference, given.rounds), total, "pull")
            kept &= show(bundles(places, reference, given.bundles), 0, "")
    print("all within their limits" if kept else "OVER A LIMIT")
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
