"""Between any two stores: artifact and bundles, unfiltered, and what fails is told."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lamslsa.artifact import FileEntry, hash_artifact
from lamslsa.errors import FormatError, UnavailableError
from lamslsa.store import (
    BundleFile,
    DirectoryStore,
    FolderStore,
    HubStore,
    ImageLayoutStore,
    StoredBundle,
    is_scheme,
    open_artifact_store,
    open_store,
)
from lamslsa.store.interface import ArtifactStore
from lamslsa.store.oci import Options
from lamslsa.store.referrer import artifact_descriptor, make_referrer
from lamslsa.store.transfer import attach, compare, copy
from lamslsa.testing.registry import Registry
from lamslsa.verification import TrustMaterial, verify_bundles


@pytest.fixture
def references(tmp_path: Path, registry: Registry) -> dict[str, str]:
    clone = tmp_path / "clone"
    (clone / ".git").mkdir(parents=True)
    return {
        "folder": str(tmp_path / "folder"),
        "hub": f"hub:{clone}",
        "layout": f"oci-layout:{tmp_path / 'layout'}:v1",
        "registry": f"oci://{registry.url.removeprefix('http://')}/{tmp_path.name.lower().strip('_')}/model:v1",
    }


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


PLAIN = Options(plain_http=True)


def closing_store(request: pytest.FixtureRequest, reference: str) -> ArtifactStore:
    store = open_artifact_store(reference, options=PLAIN)
    if hasattr(store, "close"):
        request.addfinalizer(store.close)
    return store


@pytest.mark.parametrize("first", ["folder", "hub", "layout", "registry"])
@pytest.mark.parametrize("second", ["folder", "hub", "layout", "registry"])
def test_any_two_stores(
    references: dict[str, str], model: Path, bundle: Any, first: str, second: str, request: pytest.FixtureRequest
) -> None:
    origin = FolderStore(path=model)
    for number in range(2):
        origin.put(bundle(number), name=str(number))
    one, two = (closing_store(request, references[name]) for name in (first, second))
    copied = copy(origin, one)
    assert copied.manifest == hash_artifact(model, "model")
    assert copied.reference.endswith(f"@sha256:{copied.manifest.sha256}")
    assert len(copied.bundles.copied) == 2
    again = copy(closing_store(request, copied.reference), two)
    assert (len(again.bundles.copied), len(again.bundles.present)) == ((0, 2) if first == second else (2, 0))
    assert two.manifest() == copied.manifest
    assert {found.data for found in two.bundles()} == {bundle(0), bundle(1)}


def test_bundles_may_stay_behind(references: dict[str, str], model: Path, bundle: Any) -> None:
    origin = FolderStore(path=model)
    origin.put(bundle(), name="")
    target = open_artifact_store(references["folder"])
    assert copy(origin, target, attestations=False).bundles.copied == ()
    assert list(target.bundles()) == []


def test_names_say_what_a_bundle_is_about(tmp_path: Path, bundle: Any) -> None:
    store = DirectoryStore(tmp_path)
    attach([StoredBundle(source="a", data=bundle(name="Census"))], store)
    assert [path.name.rpartition("-")[0] for path in tmp_path.iterdir()] == ["evaluation-v1-of-census"]


@pytest.mark.parametrize("name", ["folder", "hub", "layout"])
def test_what_holds_no_statement_is_refused_everywhere(references: dict[str, str], model: Path, name: str) -> None:
    target = open_artifact_store(references[name])
    copy(FolderStore(path=model), target)
    done = attach([StoredBundle(source="a", data=b"{}")], target)
    assert [failed.error.reason for failed in done.failed] == ["store-no-statement"]
    assert done.failed[0].error.__traceback__ is None
    assert list(target.bundles()) == []


def test_lines_become_bundles_and_failures_are_told(model: Path, tmp_path: Path, bundle: Any) -> None:
    lines = b"\n".join([bundle(1), b"oops", bundle(2), bundle(1)])
    broken = UnavailableError("gone", reason="gone")
    bundles = [
        StoredBundle(source="a.intoto.jsonl", data=lines),
        StoredBundle(source="b.sigstore.json", data=broken),
        StoredBundle(source="c.sigstore.json", data=b"{}"),
        StoredBundle(source="d.sigstore.json", data=bundle(3)),
    ]
    target = ImageLayoutStore(path=tmp_path / "layout")
    target.receive(hash_artifact(model, "model"), FolderStore(path=model))
    done = attach(bundles, target)
    assert len(done.copied) == 3
    assert done.present == ("a.intoto.jsonl:4",)
    assert [(failed.source, failed.error.reason) for failed in done.failed] == [
        ("a.intoto.jsonl:2", "json-syntax"),
        ("b.sigstore.json", "gone"),
        ("c.sigstore.json", "store-no-statement"),
    ]
    assert [found.data for found in target.bundles()] == [bundle(1), bundle(2), bundle(3)]


def test_a_line_of_the_target_is_there_already(tmp_path: Path, bundle: Any) -> None:
    (tmp_path / "all.intoto.jsonl").write_bytes(bundle(1) + b"\n" + bundle(2) + b"\n")
    done = attach([StoredBundle(source="a", data=bundle(2))], DirectoryStore(tmp_path))
    assert (done.copied, done.present) == ((), ("a",))


def test_comparing_reads_every_file(model: Path) -> None:
    manifest = hash_artifact(model, "model")
    seen: list[Any] = []
    compare(FolderStore(path=model), manifest, seen.append)
    assert seen[-1].bytes_done == sum(file.size for file in manifest.files)

    class Other(FolderStore):
        __slots__ = ()

        def read(self, file: FileEntry, *, offset: int = 0) -> Iterator[bytes]:
            yield b"x" * file.size

    with pytest.raises(FormatError) as caught:
        compare(Other(path=model), manifest)
    assert caught.value.reason == "store-file-digest"


def test_open(tmp_path: Path) -> None:
    pin = f"@sha256:{'0' * 64}"
    assert open_artifact_store(f"{tmp_path}{pin}", kind="dataset") == FolderStore(
        path=tmp_path, kind="dataset", pinned="0" * 64
    )
    assert open_artifact_store(f"hub:{tmp_path}{pin}") == HubStore(path=tmp_path, pinned="0" * 64)
    layout = ImageLayoutStore(path=tmp_path, tag="v1", pinned="0" * 64)
    assert open_artifact_store(f"oci-layout:{tmp_path}:v1{pin}") == open_store(layout.reference) == layout
    assert open_store(f"hub:{tmp_path}") == HubStore(path=tmp_path)
    assert isinstance(open_store(str(tmp_path / "a.sigstore.json")), BundleFile)
    for reference, named in [("oci://h/r", True), ("hub:x", True), ("oci-layout:x", True), ("x", False)]:
        assert is_scheme(reference) == named


def test_open_a_registry() -> None:
    store = open_artifact_store("oci://registry.example/model:v1")
    assert store.reference == "oci://registry.example/model:v1"
    assert open_store(store.reference).__class__ is store.__class__
    store.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("", "store-reference"),
        ("hub:", "store-reference"),
        ("https://example.com/m", "store-reference"),
        ("s3://bucket/m", "store-reference"),
        ("docker://h/r", "store-reference"),
        (f"@sha256:{'0' * 64}", "store-reference"),
        ("model@sha256:00", "digest"),
        ("oci-layout:", "layout-reference"),
        ("oci://", "registry-reference"),
    ],
)
def test_other_references_are_refused(reference: str, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        open_artifact_store(reference)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "reference",
    [
        "127.0.0.1:5056/team/model:v1",
        "ghcr.io/acme/x:v1",
        "oci:./layout:v1",
        "localhost:5000/m",
        "model:v1",
        f"ghcr.io/acme/x:v1@sha256:{'0' * 64}",
    ],
)
def test_an_address_without_its_scheme_is_no_folder(
    reference: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for opened in (open_artifact_store, open_store):
        with pytest.raises(FormatError) as caught:
            opened(reference)
        assert caught.value.reason == "store-reference"
        assert all(part in (caught.value.hint or "") for part in ("oci://", "oci-layout:", "./"))


def test_paths_with_a_colon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here" / "a:b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    for path in ("./m:v1", "../m:v1", f"{tmp_path}/m:v1", "a:b"):
        assert open_artifact_store(path) == FolderStore(path=Path(path))
        assert open_store(path) == DirectoryStore(Path(path))


def test_thousands_of_bundles_are_pulled_and_read(
    references: dict[str, str],
    registry: Registry,
    model: Path,
    bundle: Any,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    pushed = copy(FolderStore(path=model), closing_store(request, references["registry"]))
    repository = references["registry"].removeprefix("oci://").partition("/")[2].removesuffix(":v1")
    subject = artifact_descriptor(pushed.manifest)
    for number in range(2100):
        made = make_referrer(subject, bundle(number), created="2026-11-22T00:00:00Z")
        registry.contents.add_blob(repository, bundle(number))
        registry.contents.add_manifest(repository, made.manifest, made.descriptor.media_type)
    registry.contents.add_blob(repository, b"{}")
    pulled = copy(closing_store(request, pushed.reference), open_artifact_store(references["folder"]))
    assert (len(pulled.bundles.copied), pulled.bundles.failed) == (2100, ())
    found = tuple(open_artifact_store(references["folder"]).bundles())
    assert {item.data for item in found} == {bundle(number) for number in range(2100)}
    now = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
    verified = verify_bundles(found, TrustMaterial(identities={}, at=now, now=now))
    assert len(verified.set_aside) == 2100, "each is looked at; nobody is trusted here"
    assert {aside.reason for aside in verified.set_aside} == {"signature-key"}
