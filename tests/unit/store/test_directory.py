"""The folder store: unfiltered sorted reading within limits, atomic writing, nothing overwritten."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lamslsa.artifact.manifest import EXCLUDED_ROOTS
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.sign import dsse
from lamslsa.store import BundleFile, DirectoryStore, naming, open_store
from lamslsa.store.keeping import Kept, NamedBundle


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def contents(store: DirectoryStore | BundleFile) -> list[tuple[str, bytes]]:
    return [(Path(found.source).name, found.data) for found in store.bundles() if isinstance(found.data, bytes)]


def test_put_and_read(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "model" / ".attestations")
    where = store.put(b'{"a":1}', name="evaluation")
    assert Path(where).name == naming.file_name("evaluation", b'{"a":1}')
    assert [(found.source, found.data) for found in store.bundles()] == [(where, b'{"a":1}')]
    assert names(store.path) == [Path(where).name]


def test_put_twice_is_put_once(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    first = store.put(b"{}", name="a")
    before = Path(first).stat()
    assert store.put(b"{}", name="a") == first
    after = Path(first).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert names(tmp_path) == [Path(first).name]


def test_different_bundles_of_one_name_lie_side_by_side(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put(b"1", name="a")
    store.put(b"2", name="a")
    assert sorted(data for _, data in contents(store)) == [b"1", b"2"]


def test_other_bytes_under_the_name_are_not_overwritten(tmp_path: Path) -> None:
    taken = tmp_path / naming.file_name("a", b"{}")
    taken.write_bytes(b"changed")
    with pytest.raises(FormatError) as caught:
        DirectoryStore(tmp_path).put(b"{}", name="a")
    assert caught.value.reason == "store-conflict"
    assert taken.read_bytes() == b"changed"
    assert names(tmp_path) == [taken.name]


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder"])
def test_a_taken_name_is_never_followed(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    taken = folder / naming.file_name("a", b"{}")
    target = tmp_path / "target"
    if kind == "folder":
        taken.mkdir()
    else:
        taken.symlink_to(target)
        if kind == "link":
            target.write_bytes(b"{}")
    with pytest.raises(FormatError) as caught:
        DirectoryStore(folder).put(b"{}", name="a")
    assert caught.value.reason == "store-conflict"
    assert target.exists() == (kind == "link")


def test_reading_is_sorted_and_unfiltered(tmp_path: Path) -> None:
    for name in ("b.sigstore.json", "a.intoto.jsonl", "c.sigstore.json", ".hidden.sigstore.json"):
        (tmp_path / name).write_bytes(name.encode())
    for name in ("readme.md", "x.json", "y.sigstore.json.part", ".sigstore.json", ".intoto.jsonl"):
        (tmp_path / name).write_bytes(b"no")
    assert [name for name, _ in contents(DirectoryStore(tmp_path))] == [
        ".hidden.sigstore.json",
        "a.intoto.jsonl",
        "b.sigstore.json",
        "c.sigstore.json",
    ]


def test_only_regular_files_of_the_folder_itself(tmp_path: Path) -> None:
    outside = tmp_path / "outside.sigstore.json"
    outside.write_bytes(b"secret")
    folder = tmp_path / "store"
    (folder / "folder.sigstore.json").mkdir(parents=True)
    (folder / "folder.sigstore.json" / "deep.sigstore.json").write_bytes(b"deep")
    (folder / "link.sigstore.json").symlink_to(outside)
    os.mkfifo(folder / "pipe.sigstore.json")
    (folder / "real.sigstore.json").write_bytes(b"real")
    assert contents(DirectoryStore(folder)) == [("real.sigstore.json", b"real")]


def test_a_missing_folder_is_an_empty_store(tmp_path: Path) -> None:
    assert contents(DirectoryStore(tmp_path / "none")) == []


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = DirectoryStore(tmp_path / "file")
    with pytest.raises(UnavailableError) as caught:
        contents(store)
    assert caught.value.reason == "store-read"
    with pytest.raises(UnavailableError) as caught:
        store.put(b"{}", name="a")
    assert caught.value.reason == "store-read"


def test_a_file_is_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "MAX_FILE_BYTES", 4)
    (tmp_path / "a.sigstore.json").write_bytes(b"1234")
    assert contents(DirectoryStore(tmp_path)) == [("a.sigstore.json", b"1234")]
    (tmp_path / "a.sigstore.json").write_bytes(b"12345")
    (tmp_path / "z.sigstore.json").write_bytes(b"1234")
    large, small = DirectoryStore(tmp_path).bundles()
    assert isinstance(large.data, FormatError)
    assert large.data.reason == "store-size"
    assert small.data == b"1234", "one bad file never hides the others"
    (tmp_path / "z.sigstore.json").unlink()
    with pytest.raises(FormatError) as caught:
        DirectoryStore(tmp_path).put(b"12345", name="b")
    assert caught.value.reason == "store-size"
    assert names(tmp_path) == ["a.sigstore.json"]


def reasons(store: DirectoryStore) -> list[str]:
    return [found.data.reason if isinstance(found.data, LamslsaError) else "read" for found in store.bundles()]


def test_the_sum_is_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "MAX_TOTAL_BYTES", 4)
    for name in ("a", "b"):
        (tmp_path / f"{name}.sigstore.json").write_bytes(b"123")
    store = DirectoryStore(tmp_path)
    assert reasons(store) == ["read", "store-left-out"]
    with pytest.raises(FormatError) as caught:
        store.put(b"", name="c")
    assert caught.value.reason == "store-full"
    (tmp_path / "b.sigstore.json").unlink()
    store.put(b"4", name="c")
    assert reasons(store) == ["read", "read"], "what put takes a listing has"


def test_the_count_is_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "MAX_FILES", 2)
    for name in ("c", "b", "a"):
        (tmp_path / f"{name}.txt").write_bytes(b"")
        (tmp_path / f"{name}.sigstore.json").write_bytes(name.encode())
    store = DirectoryStore(tmp_path)
    assert contents(store) == [("a.sigstore.json", b"a"), ("b.sigstore.json", b"b")]
    assert reasons(store) == ["read", "read", "store-left-out"]
    (tmp_path / "c.sigstore.json").unlink()
    assert reasons(store) == ["read", "read"]
    with pytest.raises(FormatError) as caught:
        store.put(b"one more", name="d")
    assert caught.value.reason == "store-full"
    (tmp_path / "b.sigstore.json").unlink()
    made = store.put(b"second", name="d")
    assert store.put(b"second", name="d") == made, "what is there already needs no room"
    many = [NamedBundle(data=data, name="d") for data in (b"a", b"second", b"third")]
    outcomes = list(store.put_all(many))
    assert outcomes[:2] == [Kept(place="", new=False)] * 2
    assert isinstance(outcomes[2], FormatError)
    assert outcomes[2].reason == "store-full"


def test_refused_files_are_not_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "MAX_FILE_BYTES", 4_000_000)
    for number in range(20):
        with (tmp_path / f"{number}.sigstore.json").open("wb") as file:
            file.truncate(4_000_001)
    tracemalloc.start()
    try:
        found = list(DirectoryStore(tmp_path).bundles())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000, "a size that is too large is known before anything is read"
    for item in found:
        assert isinstance(item.data, FormatError)
        assert (item.data.__traceback__, item.data.__cause__, item.data.__context__) == (None, None, None)


def test_concurrent_writers(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    bundles = [str(number % 4).encode() * 1000 for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda bundle: store.put(bundle, name="a"), bundles))
    assert len(made) == 4
    assert sorted(data for _, data in contents(store)) == sorted(set(bundles))
    assert len(names(tmp_path)) == 4


KILLED = """
import os, signal, sys
from pathlib import Path
from lamslsa.store import DirectoryStore
from lamslsa.store import directory

stage = sys.argv[2]

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if stage == "fsync":
    os.fsync = die
elif stage == "link":
    os.link = die
elif stage == "unlink":
    Path.unlink = die
else:
    directory.sync_folder = die
DirectoryStore(Path(sys.argv[1])).put(b"x" * 1_000_000, name="a")
"""


@pytest.mark.parametrize(("stage", "stored"), [("fsync", 0), ("link", 0), ("unlink", 1), ("folder", 1)])
def test_kill_at_each_stage_leaves_all_or_nothing(tmp_path: Path, stage: str, stored: int) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), stage], check=False)
    assert killed.returncode == -signal.SIGKILL
    store = DirectoryStore(tmp_path)
    assert [data for _, data in contents(store)] == [b"x" * 1_000_000] * stored
    store.put(b"x" * 1_000_000, name="a")
    assert [data for _, data in contents(store)] == [b"x" * 1_000_000]


def _put_for_ever(path: Path, barrier: multiprocessing.synchronize.Event) -> None:
    store = DirectoryStore(path)
    barrier.set()
    number = 0
    while True:
        store.put(number.to_bytes(4, "big") * 250_000, name="a")
        number += 1


@pytest.mark.parametrize("attempt", range(5))
def test_kill_at_any_moment_leaves_nothing_half_written(tmp_path: Path, attempt: int) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Event()
    writer = context.Process(target=_put_for_ever, args=(tmp_path, barrier))
    writer.start()
    assert barrier.wait(60)
    while len(names(tmp_path)) < 2 + attempt:
        assert writer.is_alive()
    writer.kill()
    writer.join()
    found = contents(DirectoryStore(tmp_path))
    assert found
    for name, data in found:
        assert len(data) == 1_000_000
        assert name == naming.file_name("a", data)


def test_the_part_file_is_no_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def look(part: Path, final: Path) -> None:
        seen.extend(names(tmp_path))
        assert contents(DirectoryStore(tmp_path)) == []
        assert part.read_bytes() == b"{}"
        assert not final.exists()

    monkeypatch.setattr(os, "link", look)
    with pytest.raises(UnavailableError):
        DirectoryStore(tmp_path).put(b"{}", name="a")
    assert len(seen) == 1


def test_a_bundle_file(tmp_path: Path) -> None:
    file = tmp_path / "all.intoto.jsonl"
    file.write_bytes(b"{}\n")
    link = tmp_path / "link.sigstore.json"
    link.symlink_to(file)
    for path in (file, link):
        store = open_store(str(path))
        assert isinstance(store, BundleFile)
        assert [(found.source, found.data) for found in store.bundles()] == [(str(path), b"{}\n")]
        with pytest.raises(FormatError) as caught:
            store.put(b"{}", name="a")
        assert caught.value.reason == "store-read-only"


def test_a_bundle_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        list(open_store(str(tmp_path / "none.sigstore.json")).bundles())
    assert caught.value.reason == "store-read"


def test_a_pipe_is_no_bundle_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.sigstore.json")
    with pytest.raises(FormatError) as caught:
        list(open_store(str(tmp_path / "pipe.sigstore.json")).bundles())
    assert caught.value.reason == "store-reference"


def test_folders_by_reference(tmp_path: Path) -> None:
    assert open_store(str(tmp_path)) == DirectoryStore(tmp_path)
    assert open_store(str(tmp_path / "new")) == DirectoryStore(tmp_path / "new")
    (tmp_path / "odd.sigstore.json").mkdir()
    assert open_store(str(tmp_path / "odd.sigstore.json")) == DirectoryStore(tmp_path / "odd.sigstore.json")


@pytest.mark.parametrize(
    "reference", ["", "s3://bucket/model", "https://example.com/a.sigstore.json", "oci:x@sha256:0", "hub:"]
)
def test_addresses_are_refused(reference: str) -> None:
    with pytest.raises(FormatError) as caught:
        open_store(reference)
    assert caught.value.reason == "store-reference"


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"")
    with pytest.raises(FormatError) as caught:
        open_store(str(tmp_path / "notes.txt"))
    assert caught.value.reason == "store-reference"


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("Evaluation", "evaluation"),
        ("../../etc/passwd", "etc-passwd"),
        ("a\0b\nc", "a-b-c"),
        ("", "attestation"),
        ("///", "attestation"),
        ("é", "attestation"),
        ("x" * 300, "x" * 64),
    ],
)
def test_names_are_made_harmless(name: str, stem: str) -> None:
    made = naming.file_name(name, b"{}")
    assert made == f"{stem}-44136fa355b3678a.sigstore.json"
    assert naming.is_bundle_name(made)


def test_layers_that_cannot_import_each_other_agree() -> None:
    assert naming.DEFAULT_FOLDER in EXCLUDED_ROOTS
    assert (naming.BUNDLE_SUFFIX, naming.LINES_SUFFIX) == (dsse.BUNDLE_SUFFIX, dsse.LINES_SUFFIX)
    assert naming.MAX_FILE_BYTES == dsse.MAX_BUNDLE_BYTES
