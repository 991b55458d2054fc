"""Image layouts: what skopeo reads, referrers however they are listed, hostile folders, and writers at once."""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import multiprocessing
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lamslsa._codec import sha256_hex
from lamslsa.artifact import FileEntry, Manifest, hash_artifact
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.store import FolderStore, ImageLayoutStore, StoredBundle, naming
from lamslsa.store.interface import ArtifactStore
from lamslsa.store.layout_blobs import LayoutBlobs
from lamslsa.store.layout_index import MAX_BYTES, LayoutIndex
from lamslsa.store.referrer import INDEX_TYPE, MANIFEST_TYPE, Descriptor, fallback_tag, make_referrer
from lamslsa.store.transfer import attach

CLOCK = dt.datetime(2026, 11, 22, 1, 2, 3, tzinfo=dt.UTC)
SUBJECT = Descriptor(media_type=MANIFEST_TYPE, sha256="0" * 64, size=1000)
TAG = "org.opencontainers.image.ref.name"


@pytest.fixture
def manifest(model: Path) -> Manifest:
    return hash_artifact(model, "model")


@pytest.fixture
def layout(model: Path, manifest: Manifest, tmp_path: Path) -> Path:
    store = ImageLayoutStore(path=tmp_path / "layout", tag="v1")
    made = store.receive(manifest, FolderStore(path=model))
    assert made == store.reference == f"oci-layout:{tmp_path / 'layout'}:v1@sha256:{manifest.sha256}"
    assert isinstance(store, ArtifactStore)
    return tmp_path / "layout"


def index(layout: Path) -> Any:
    return json.loads((layout / "index.json").read_bytes())


def blob(layout: Path, sha256: str) -> Path:
    return layout / "blobs" / "sha256" / sha256


def add(layout: Path, data: bytes, media_type: str, **fields: Any) -> str:
    """Put a blob there, and an entry of it in the index."""
    descriptor = Descriptor.of(data, media_type)
    blob(layout, descriptor.sha256).write_bytes(data)
    value = index(layout)
    value["manifests"].append(descriptor.wire() | fields)
    (layout / "index.json").write_text(json.dumps(value))
    return descriptor.sha256


def refused(store: ImageLayoutStore) -> str:
    with pytest.raises(FormatError) as caught:
        list(store.bundles())
    return caught.value.reason


def reasons(store: ImageLayoutStore) -> list[str]:
    return [found.data.reason if isinstance(found.data, LamslsaError) else "read" for found in store.bundles()]


def test_the_files_of_a_layout(layout: Path, model: Path, manifest: Manifest) -> None:
    assert json.loads((layout / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = index(layout)["manifests"]
    assert entry == {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": f"sha256:{manifest.sha256}",
        "size": len(manifest.canonical),
        "artifactType": "application/vnd.cncf.model.manifest.v1+json",
        "annotations": {TAG: "v1"},
    }
    for path in blob(layout, "").iterdir():
        assert sha256_hex(path.read_bytes()) == path.name
    assert list((layout / "ingest").iterdir()) == []
    assert blob(layout, sha256_hex(manifest.config)).exists()


def test_there_and_back(layout: Path, model: Path, manifest: Manifest, tmp_path: Path) -> None:
    for store in (
        ImageLayoutStore(path=layout),
        ImageLayoutStore(path=layout, tag="v1"),
        ImageLayoutStore(path=layout, pinned=manifest.sha256),
    ):
        assert store.manifest() == manifest
    target = FolderStore(path=tmp_path / "out")
    target.receive(manifest, ImageLayoutStore(path=layout))
    assert hash_artifact(tmp_path / "out", "model") == manifest
    file = manifest.files[-1]
    assert b"".join(ImageLayoutStore(path=layout).read(file, offset=file.size - 3)) == b"\xfd\xfe\xff"


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
def test_skopeo_copies_it_to_the_byte(layout: Path, manifest: Manifest, tmp_path: Path) -> None:
    copy = ["skopeo", "--insecure-policy", "--tmpdir", str(tmp_path), "copy", f"oci:{layout}:v1"]
    subprocess.run([*copy, f"dir:{tmp_path / 'dir'}"], check=True, capture_output=True)
    assert (tmp_path / "dir" / "manifest.json").read_bytes() == manifest.canonical
    subprocess.run([*copy, f"oci:{tmp_path / 'other'}:x"], check=True, capture_output=True)
    assert ImageLayoutStore(path=tmp_path / "other", tag="x").manifest() == manifest


def test_bundles_are_referrers(layout: Path, manifest: Manifest, bundle: Any) -> None:
    store = ImageLayoutStore(path=layout, tag="v1", clock=lambda: CLOCK)
    places = [store.put(bundle(number), name="ignored") for number in range(3)]
    assert store.put(bundle(1), name="again") == places[1]
    found = list(ImageLayoutStore(path=layout).bundles())
    assert [item.data for item in found] == [bundle(number) for number in range(3)]
    assert [item.source for item in found] == places
    assert all(naming.is_bundle_name(Path(item.source).name) for item in found)
    entries = index(layout)["manifests"]
    assert len(entries) == 4
    made = make_referrer(
        Descriptor.of(manifest.canonical, entries[0]["mediaType"]), bundle(0), created="2026-11-22T01:02:03Z"
    )
    assert entries[1] == made.descriptor.wire()
    assert blob(layout, made.descriptor.sha256).read_bytes() == made.manifest


def test_a_tag_that_moves_takes_its_bundles_along(layout: Path, model: Path, bundle: Any) -> None:
    store = ImageLayoutStore(path=layout, tag="v1")
    store.put(bundle(1), name="")
    (model / "more.txt").write_bytes(b"more")
    other = ImageLayoutStore(path=layout, tag="v2")
    other.receive(FolderStore(path=model).manifest(), FolderStore(path=model))
    value = index(layout)
    value["manifests"][0]["annotations"][TAG], value["manifests"][2]["annotations"][TAG] = "v2", "v1"
    (layout / "index.json").write_text(json.dumps(value))
    store.put(bundle(2), name="")
    assert [found.data for found in store.bundles()] == [bundle(2)]
    assert [found.data for found in other.bundles()] == [bundle(2)]


def test_an_interrupted_transfer_is_resumed(model: Path, manifest: Manifest, tmp_path: Path) -> None:
    large = manifest.files[-1]
    asked: list[int] = []

    class Source(FolderStore):
        __slots__ = ()

        def read(self, file: FileEntry, *, offset: int = 0) -> Any:
            if file == large:
                asked.append(offset)
                if len(asked) == 1:
                    return self._broken(file)
            return super().read(file, offset=offset)

        def _broken(self, file: FileEntry) -> Any:
            yield b"".join(FolderStore.read(self, file))[:1000]
            raise KeyboardInterrupt

    store = ImageLayoutStore(path=tmp_path / "layout")
    with pytest.raises(KeyboardInterrupt):
        store.receive(manifest, Source(path=model))
    assert refused(ImageLayoutStore(path=tmp_path / "layout")) == "layout-artifact"
    store.receive(manifest, Source(path=model))
    assert asked == [0, 1000]
    assert store.manifest() == manifest


def test_other_bytes_never_become_a_blob(model: Path, manifest: Manifest, tmp_path: Path) -> None:
    data = (model / manifest.files[-1].path).read_bytes()
    (model / manifest.files[-1].path).write_bytes(data[:-1] + b"x")
    with pytest.raises(FormatError) as caught:
        ImageLayoutStore(path=tmp_path / "layout").receive(manifest, FolderStore(path=model))
    assert caught.value.reason == "store-file-digest"
    assert not blob(tmp_path / "layout", manifest.files[-1].sha256).exists()


def test_a_blob_that_is_there_is_compared(model: Path, manifest: Manifest, layout: Path) -> None:
    source = FolderStore(path=model)
    ImageLayoutStore(path=layout, tag="v2").receive(manifest, source)
    assert [entry["annotations"][TAG] for entry in index(layout)["manifests"]] == ["v1", "v2"]
    path = blob(layout, manifest.files[-1].sha256)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(FormatError) as caught:
        ImageLayoutStore(path=layout, tag="v3").receive(manifest, source)
    assert caught.value.reason == "layout-blob-other"


def test_a_file_that_another_process_is_at(model: Path, manifest: Manifest, tmp_path: Path) -> None:
    store = ImageLayoutStore(path=tmp_path / "layout")
    with pytest.raises(FormatError):
        store.receive(manifest, FolderStore(path=tmp_path / "none"))
    part = os.open(tmp_path / "layout" / "ingest" / manifest.files[-1].sha256, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(part, fcntl.LOCK_EX)
        with pytest.raises(UnavailableError) as caught:
            store.receive(manifest, FolderStore(path=model))
        assert caught.value.reason == "store-busy"
    finally:
        os.close(part)
    store.receive(manifest, FolderStore(path=model))


def test_a_tag_is_not_moved(layout: Path, model: Path, manifest: Manifest) -> None:
    (model / "more.txt").write_bytes(b"more")
    other = FolderStore(path=model)
    with pytest.raises(FormatError) as caught:
        ImageLayoutStore(path=layout, tag="v1").receive(other.manifest(), other)
    assert caught.value.reason == "layout-tag-taken"
    untagged = ImageLayoutStore(path=layout)
    untagged.receive(other.manifest(), other)
    assert untagged.manifest() == other.manifest()
    assert ImageLayoutStore(path=layout, tag="v1").manifest() == manifest
    assert refused(ImageLayoutStore(path=layout)) == "layout-artifact"
    assert refused(ImageLayoutStore(path=layout, tag="none")) == "layout-artifact"
    with pytest.raises(FormatError) as caught:
        ImageLayoutStore(path=layout, pinned="0" * 64).receive(manifest, other)
    assert caught.value.reason == "store-pinned"


def test_bundles_of_another_artifact_stay_with_it(layout: Path, model: Path, bundle: Any) -> None:
    ImageLayoutStore(path=layout, tag="v1").put(bundle(1), name="")
    (model / "more.txt").write_bytes(b"more")
    other = ImageLayoutStore(path=layout, tag="v2")
    other.receive(FolderStore(path=model).manifest(), FolderStore(path=model))
    assert list(other.bundles()) == []
    other.put(bundle(1), name="")
    assert len(list(other.bundles())) == len(list(ImageLayoutStore(path=layout, tag="v1").bundles())) == 1


def test_referrers_under_the_fallback_tag(layout: Path, manifest: Manifest, bundle: Any) -> None:
    subject = Descriptor.of(manifest.canonical, "application/vnd.oci.image.manifest.v1+json")
    mine = make_referrer(subject, bundle(1), created="2026-11-22T00:00:00Z")
    other = make_referrer(Descriptor.of(b"other", subject.media_type), bundle(2), created="2026-11-22T00:00:00Z")
    for data in (bundle(1), bundle(2), mine.manifest, other.manifest):
        blob(layout, sha256_hex(data)).write_bytes(data)
    listed = [mine.descriptor.wire(), mine.descriptor.wire(), other.descriptor.wire(), 7]
    data = json.dumps({"schemaVersion": 2, "manifests": listed}).encode()
    add(layout, data, INDEX_TYPE, annotations={TAG: fallback_tag(manifest.sha256)})
    store = ImageLayoutStore(path=layout, tag="v1")
    assert reasons(store) == ["read", "referrer-subject", "descriptor-shape"]
    blob(layout, sha256_hex(data)).write_bytes(b"{}")
    assert reasons(store) == ["layout-blob-size"]


def test_what_is_damaged_hides_no_other(layout: Path, bundle: Any) -> None:
    store = ImageLayoutStore(path=layout, tag="v1")
    for number in range(5):
        store.put(bundle(number), name="")
    referrers = [entry["digest"].removeprefix("sha256:") for entry in index(layout)["manifests"][1:]]
    blob(layout, referrers[0]).unlink()
    blob(layout, referrers[1]).write_bytes(b"x" * blob(layout, referrers[1]).stat().st_size)
    blob(layout, sha256_hex(bundle(2))).unlink()
    blob(layout, sha256_hex(bundle(3))).write_bytes(b"x" * len(bundle(3)))
    add(layout, b"not JSON", "application/vnd.oci.image.manifest.v1+json")
    fresh = ImageLayoutStore(path=layout, tag="v1")
    assert reasons(fresh) == [
        "layout-file-missing",
        "layout-blob-digest",
        "layout-file-missing",
        "layout-blob-digest",
        "read",
        "json-syntax",
    ]


def test_a_layer_of_another_size(layout: Path, manifest: Manifest, bundle: Any) -> None:
    subject = Descriptor.of(manifest.canonical, "application/vnd.oci.image.manifest.v1+json")
    value = json.loads(make_referrer(subject, bundle(), created="x").manifest)
    value["layers"][0]["size"] += 1
    blob(layout, sha256_hex(bundle())).write_bytes(bundle())
    add(layout, json.dumps(value).encode(), subject.media_type)
    assert reasons(ImageLayoutStore(path=layout, tag="v1")) == ["layout-blob-size"]


def test_other_referrers_are_no_bundles(layout: Path, manifest: Manifest) -> None:
    subject = Descriptor.of(manifest.canonical, "application/vnd.oci.image.manifest.v1+json")
    data = json.dumps({"layers": [], "artifactType": "application/spdx+json", "subject": subject.wire()}).encode()
    add(layout, data, subject.media_type)
    assert reasons(ImageLayoutStore(path=layout)) == []


def test_limits(layout: Path, bundle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ImageLayoutStore(path=layout, tag="v1")
    for number in range(3):
        store.put(bundle(number), name="")
    with monkeypatch.context() as patch:
        patch.setattr(naming, "MAX_FILES", 2)
        assert reasons(store) == ["read", "read", "store-left-out"]
        with pytest.raises(FormatError) as caught:
            store.put(bundle(7), name="")
        assert caught.value.reason == "store-full"
    with monkeypatch.context() as patch:
        patch.setattr(naming, "MAX_FILE_BYTES", len(bundle()) - 1)
        assert reasons(store) == ["layout-size"] * 3
        with pytest.raises(FormatError) as caught:
            store.put(bundle(7), name="")
        assert caught.value.reason == "store-size"
    with monkeypatch.context() as patch:
        patch.setattr("lamslsa.store.layout_index.MAX_BYTES", (layout / "index.json").stat().st_size + 10)
        with pytest.raises(FormatError) as caught:
            store.put(bundle(8), name="")
        assert caught.value.reason == "layout-index-full"
    assert len(list(store.bundles())) == 3


def test_the_sum_is_limited(layout: Path, bundle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    large = [bundle(number, name="m" * 10_000) for number in range(4)]
    store = ImageLayoutStore(path=layout, tag="v1")
    for each in large[:3]:
        store.put(each, name="")
    monkeypatch.setattr(naming, "MAX_TOTAL_BYTES", 2 * len(large[0]))
    assert reasons(store) == ["read", "read", "store-left-out"]
    with pytest.raises(FormatError) as caught:
        store.put(large[3], name="")
    assert caught.value.reason == "store-full"
    blob(layout, sha256_hex(large[0])).write_bytes(b"x" * len(large[0]))
    assert reasons(store) == ["layout-blob-digest", "read", "store-left-out"], "what is read in vain counts"


def test_manifests_are_read_within_limits_too(
    layout: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        add(layout, bytes([number]) * 100_000, "application/vnd.oci.image.manifest.v1+json")
    monkeypatch.setattr(naming, "MAX_TOTAL_BYTES", 500_000)
    store = ImageLayoutStore(path=layout, pinned=manifest.sha256)
    found = list(store.bundles())
    assert len(found) == 6, "five that are none, and that the others were left out"
    assert isinstance(found[-1].data, FormatError)
    assert found[-1].data.reason == "store-left-out"
    for item in found:
        assert isinstance(item.data, FormatError)
        assert (item.data.__traceback__, item.data.__cause__, item.data.__context__) == (None, None, None)
    assert refused(ImageLayoutStore(path=layout)) == "store-left-out"


def test_a_digest_is_opened_once_whatever_becomes_of_it(
    layout: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(layout, b"not JSON", "application/vnd.oci.image.manifest.v1+json")
    value = index(layout)
    value["manifests"] += [value["manifests"][-1]] * 50
    (layout / "index.json").write_text(json.dumps(value))
    read: list[str] = []
    blob_of = LayoutBlobs.blob

    def counted(self: LayoutBlobs, sha256: str, *, limit: int) -> bytes:
        read.append(sha256)
        return blob_of(self, sha256, limit=limit)

    monkeypatch.setattr(LayoutBlobs, "blob", counted)
    assert ImageLayoutStore(path=layout).manifest() == manifest
    assert read.count(sha256_hex(b"not JSON")) == 1


def test_bad_entries_without_number_are_few_errors(layout: Path) -> None:
    value = index(layout)
    value["manifests"] += [1] * 1000 + [{}] * 1000
    (layout / "index.json").write_text(json.dumps(value))
    found = reasons(ImageLayoutStore(path=layout, tag="v1"))
    assert found == ["descriptor-shape"] * 100 + ["index-bad-entries"]


def test_a_long_predicate_type_does_not_fill_the_index(layout: Path, bundle: Any) -> None:
    store = ImageLayoutStore(path=layout, tag="v1")
    for number, length in enumerate((1024, 1025, 1_000_000)):
        made = bundle(number, predicate_type="https://x.example/".ljust(length, "y"))
        store.put(made, name="")
    shown = ["dev.sigstore.bundle.predicateType" in entry["annotations"] for entry in index(layout)["manifests"][1:]]
    assert shown == [True, False, False]
    assert len(list(store.bundles())) == 3


def test_many_bundles_write_the_index_a_few_times(layout: Path, bundle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    changed: list[int] = []
    changing = LayoutIndex.changing

    def counted(self: LayoutIndex) -> Any:
        changed.append(1)
        return changing(self)

    monkeypatch.setattr(LayoutIndex, "changing", counted)
    store = ImageLayoutStore(path=layout, tag="v1")
    bundles = [StoredBundle(source=str(number), data=bundle(number % 300)) for number in range(301)]
    done = attach(bundles, store)
    assert (len(done.copied), done.present, done.failed) == (300, ("300",), ())
    assert len(changed) == 2
    assert len(list(store.bundles())) == 300


def test_a_full_index_takes_what_fits(layout: Path, bundle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = len(json.dumps(make_referrer(SUBJECT, bundle(), created="2026-11-22T01:02:03Z").descriptor.wire()))
    monkeypatch.setattr(
        "lamslsa.store.layout_index.MAX_BYTES", (layout / "index.json").stat().st_size + 5 * entry + entry // 2
    )
    bundles = [StoredBundle(source=str(number), data=bundle(number)) for number in range(9)]
    done = attach(bundles, ImageLayoutStore(path=layout, tag="v1"))
    assert len(done.copied) == 5
    assert {failed.error.reason for failed in done.failed} == {"layout-index-full"}


def test_a_lock_that_somebody_keeps_is_not_waited_for_without_end(
    layout: Path, bundle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamslsa.store._descriptors.LOCK_PATIENCE_S", 0.01)
    lock = os.open(layout / ".index.lock", os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        with pytest.raises(UnavailableError) as caught:
            ImageLayoutStore(path=layout, tag="v1").put(bundle(), name="")
        assert caught.value.reason == "store-busy"
    finally:
        os.close(lock)
    ImageLayoutStore(path=layout, tag="v1").put(bundle(), name="")


def test_a_part_of_another_user_is_refused(
    model: Path, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ImageLayoutStore(path=tmp_path / "layout")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(FormatError) as caught:
        store.receive(manifest, FolderStore(path=model))
    assert caught.value.reason == "store-other-owner"


def test_a_layout_that_another_process_is_making(model: Path, manifest: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "layout"
    path.mkdir()
    (path / ".index.lock").write_bytes(b"")
    (path / ".oci-layout.0123.partial").write_bytes(b"{")
    ImageLayoutStore(path=path).receive(manifest, FolderStore(path=model))
    assert ImageLayoutStore(path=path).manifest() == manifest


def test_a_lock_does_not_make_a_folder_a_layout(model: Path, manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / ".index.lock").write_bytes(b"")
    with pytest.raises(FormatError) as caught:
        ImageLayoutStore(path=tmp_path).receive(manifest, FolderStore(path=model))
    assert caught.value.reason == "layout-missing"


def test_a_file_is_no_layout(model: Path, manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    store = ImageLayoutStore(path=tmp_path / "file")
    assert refused(store) == "layout-not-folder"
    for attempt in (store.expect, lambda: store.receive(manifest, FolderStore(path=model))):
        with pytest.raises(FormatError) as caught:
            attempt()
        assert caught.value.reason == "layout-not-folder"


def test_a_tag_that_is_taken_meanwhile(model: Path, manifest: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "layout"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").write_bytes(b"x")
    other = FolderStore(path=tmp_path / "other")

    class Meanwhile(FolderStore):
        __slots__ = ()

        def read(self, file: FileEntry, *, offset: int = 0) -> Any:
            if file == manifest.files[0]:
                ImageLayoutStore(path=path, tag="v1").receive(other.manifest(), other)
            return super().read(file, offset=offset)

    with pytest.raises(FormatError) as caught:
        ImageLayoutStore(path=path, tag="v1").receive(manifest, Meanwhile(path=model))
    assert caught.value.reason == "layout-tag-taken"
    assert ImageLayoutStore(path=path, tag="v1").manifest() == other.manifest()


def test_a_part_that_another_process_has_completed_meanwhile(
    model: Path, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ImageLayoutStore(path=tmp_path / "layout")
    monkeypatch.setattr(
        "lamslsa.store.layout_blobs._lock",
        lambda _part, file: (tmp_path / "layout" / "ingest" / file.sha256).unlink(),
    )
    with pytest.raises(UnavailableError) as caught:
        store.receive(manifest, FolderStore(path=model))
    assert caught.value.reason == "store-busy"


def test_a_small_blob_is_not_written_over(layout: Path, bundle: Any) -> None:
    path = blob(layout, sha256_hex(bundle()))
    path.write_bytes(b"x" * len(bundle()))
    with pytest.raises(FormatError) as caught:
        ImageLayoutStore(path=layout, tag="v1").put(bundle(), name="")
    assert caught.value.reason == "layout-blob-digest"
    assert path.read_bytes() == b"x" * len(bundle())
    assert len(index(layout)["manifests"]) == 1


def test_nothing_but_statements_is_attached(layout: Path) -> None:
    with pytest.raises(FormatError) as caught:
        ImageLayoutStore(path=layout).put(b"{}", name="")
    assert caught.value.reason == "store-no-statement"
    assert len(index(layout)["manifests"]) == 1


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("index.json", b" " * (MAX_BYTES + 1), "layout-size"),
        ("index.json", b'{"manifests":' + b"[" * 1000 + b"]" * 1000 + b"}", "json-depth"),
        ("index.json", b'{"manifests":{}}', "layout-index"),
        ("index.json", b"[]", "layout-index"),
        ("index.json", None, "layout-file-missing"),
        ("oci-layout", b'{"imageLayoutVersion":"2.0.0"}', "layout-version"),
        ("oci-layout", b"[]", "layout-version"),
        ("oci-layout", b" " * 5000, "layout-missing"),
        ("oci-layout", None, "layout-missing"),
    ],
)
def test_hostile_files(layout: Path, name: str, data: bytes | None, reason: str) -> None:
    (layout / name).unlink()
    if data is not None:
        (layout / name).write_bytes(data)
    assert refused(ImageLayoutStore(path=layout)) == reason


@pytest.mark.parametrize("name", ["blobs", "blobs/sha256"])
def test_folders_that_are_links(layout: Path, tmp_path: Path, name: str) -> None:
    (layout / name).rename(tmp_path / "elsewhere")
    (layout / name).symlink_to(tmp_path / "elsewhere")
    assert refused(ImageLayoutStore(path=layout, tag="v1")) == "layout-blobs-folder"


def test_files_that_are_links_or_pipes(layout: Path, manifest: Manifest, tmp_path: Path) -> None:
    path = blob(layout, manifest.sha256)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    for _ in range(2):
        with pytest.raises(FormatError) as caught:
            ImageLayoutStore(path=layout, tag="v1").manifest()
        assert caught.value.reason == "layout-file-kind"
        path.unlink()
        os.mkfifo(path)
    (layout / "index.json").unlink()
    (layout / "index.json").symlink_to("oci-layout")
    assert refused(ImageLayoutStore(path=layout)) == "layout-file-kind"


def test_a_manifest_of_another_artifact_under_this_digest(layout: Path, manifest: Manifest) -> None:
    path = blob(layout, manifest.sha256)
    path.write_bytes(manifest.canonical.replace(b"README.md", b"README.mx"))
    with pytest.raises(FormatError) as caught:
        ImageLayoutStore(path=layout, tag="v1").manifest()
    assert caught.value.reason == "layout-blob-digest"


def test_only_an_empty_folder_becomes_a_layout(model: Path, manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_bytes(b"mine")
    with pytest.raises(FormatError) as caught:
        ImageLayoutStore(path=tmp_path / "mine").receive(manifest, FolderStore(path=model))
    assert caught.value.reason == "layout-missing"
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["file"]
    assert refused(ImageLayoutStore(path=tmp_path / "none")) == "layout-missing"
    (tmp_path / "empty").mkdir()
    ImageLayoutStore(path=tmp_path / "empty").receive(manifest, FolderStore(path=model))


def test_what_others_wrote_into_the_index_stays(layout: Path, bundle: Any) -> None:
    value = index(layout) | {"annotations": {"a": "b"}}
    value["manifests"].append({"mediaType": "text/plain", "digest": f"sha256:{'0' * 64}", "size": 1, "more": [1.5]})
    (layout / "index.json").write_text(json.dumps(value))
    ImageLayoutStore(path=layout, tag="v1").put(bundle(), name="")
    after = index(layout)
    assert after["manifests"][:2] == value["manifests"]
    assert after["annotations"] == {"a": "b"}


def _attach(path: Path, writer: int, bundles: list[bytes]) -> None:
    store = ImageLayoutStore(path=path, tag="v1")
    for bundle in bundles:
        store.put(bundle, name=str(writer))


def test_writers_at_once_lose_nothing(layout: Path, bundle: Any) -> None:
    context = multiprocessing.get_context("fork")
    work = [[bundle(10 * writer + number) for number in range(5)] + [bundle(1000)] for writer in range(4)]
    writers = [context.Process(target=_attach, args=(layout, number, made)) for number, made in enumerate(work)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    found = [item.data for item in ImageLayoutStore(path=layout, tag="v1").bundles()]
    assert len(found) == 21
    assert set(found) == {made for each in work for made in each}


@pytest.mark.parametrize(
    ("place", "path", "tag"),
    [("a", "a", ""), ("a:v1", "a", "v1"), ("a:b/c", "a:b/c", ""), ("a:b:v1", "a:b", "v1"), ("a:-x", "a:-x", "")],
)
def test_references(place: str, path: str, tag: str) -> None:
    store = ImageLayoutStore.named(place, "")
    assert (str(store.path), store.tag) == (path, tag)
    assert store.reference == f"oci-layout:{place}"


@pytest.mark.parametrize("place", ["", ":v1", f"a:{fallback_tag('0' * 64)}"])
def test_references_that_are_none(place: str) -> None:
    with pytest.raises(FormatError) as caught:
        ImageLayoutStore.named(place, "")
    assert caught.value.reason == "layout-reference"
