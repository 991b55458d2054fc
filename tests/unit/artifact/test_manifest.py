from __future__ import annotations

import hashlib
import json
import time
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from lamslsa.artifact import FileEntry, Kind, Manifest
from lamslsa.artifact.manifest import MAX_FILES, MAX_MANIFEST_BYTES, layer_type, refuse_path
from lamslsa.errors import FormatError, LamslsaError

PREFIX = "application/vnd.cncf.model."


def entry(path: str, *, digit: str = "0", size: int = 1) -> FileEntry:
    return FileEntry(path=path, sha256=digit * 64, size=size)


def document(manifest: Manifest) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(manifest.canonical)
    return value


def refused(data: bytes) -> str:
    with pytest.raises(FormatError) as caught:
        Manifest.parse(data)
    return caught.value.reason


MODEL = Manifest.of("model", [entry("a/b.bin"), entry("c.json", size=0)])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("w.safetensors", "weight"),
        ("w.pt2", "weight"),
        ("w.pt", "weight"),
        ("w.pth", "weight"),
        ("w.bin", "weight"),
        ("w.onnx", "weight"),
        ("w.gguf", "weight"),
        ("w.npz", "weight"),
        ("w.h5", "weight"),
        ("w.tflite", "weight"),
        ("a.py", "code"),
        ("a.ipynb", "code"),
        ("a.sh", "code"),
        ("a.md", "doc"),
        ("a.txt", "doc"),
        ("a.rst", "doc"),
        ("a.pdf", "doc"),
        ("LICENSE", "doc"),
        ("deep/LICENSE-APACHE", "doc"),
        ("NOTICE.xml", "doc"),
        ("config.json", "weight.config"),
        ("license", "weight.config"),
        ("MY-LICENSE", "weight.config"),
        ("W.BIN", "weight"),
        ("LICENSE.py", "code"),
        ("LICENSE.bin", "weight"),
        (".bin", "weight.config"),
        ("bin", "weight.config"),
        ("w.bin.json", "weight.config"),
        ("w.json.bin", "weight"),
        ("w.bin/config", "weight.config"),
        ("LICENSE/config", "weight.config"),
        ("w.\u0130py", "weight.config"),
        ("w.", "weight.config"),
    ],
)
def test_layer_types_of_a_model(path: str, expected: str) -> None:
    assert layer_type("model", path) == f"{PREFIX}{expected}.v1.raw"
    assert layer_type("dataset", path) == f"{PREFIX}dataset.v1.raw"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "path-relative"),
        ("/etc/passwd", "path-relative"),
        ("a//b", "path-relative"),
        ("a/", "path-relative"),
        ("./a", "path-relative"),
        ("a/./b", "path-relative"),
        ("../a", "path-relative"),
        ("a/..", "path-relative"),
        ("a/../../b", "path-relative"),
        ("a\\b", "path-character"),
        ("..\\a", "path-character"),
        ("a\0b", "path-character"),
        ("a\x1fb", "path-character"),
        ("a\x7fb", "path-character"),
        ("a\x80b", "path-character"),
        ("a\x9fb", "path-character"),
        ("e\u0301", "path-nfc"),
        ("\u212b", "path-nfc"),
        ("a\udcff", "path-utf8"),
        (".attestations/a", "path-excluded"),
        (".git/config", "path-excluded"),
        (".git", "path-excluded"),
        (".GIT/config", "path-excluded"),
        (".Attestations/a", "path-excluded"),
        (".ATTESTATIONS", "path-excluded"),
        ("a" * 256, "path-long"),
        ("a/" + "\u00e9" * 128, "path-long"),
        ("a" * 201 + ("/" + "b" * 205) * 4, "path-long"),
        ("a/" * 65 + "f", "path-deep"),
    ],
)
def test_paths_that_are_refused(path: str, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        refuse_path(path)
    assert caught.value.reason == reason
    with pytest.raises(FormatError) as caught:
        Manifest.of("model", [entry(path)])
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "path",
    [
        "a" * 255,
        "\u00e9" * 127 + "a",
        "a" * 204 + ("/" + "b" * 204) * 4,
        "a/" * 64 + "f",
        ".gitattributes",
        ".github/x",
        "sub/.attestations/a",
        "x.git/config",
    ],
)
def test_paths_that_are_just_taken(path: str) -> None:
    refuse_path(path)
    assert len(path.encode()) <= 1024


@pytest.mark.parametrize(
    "path", ["a", "a b", "...", "..a", "a..", ".hidden", "a/.git/x", "été/数据.csv", "\u00a0", "'\""]
)
def test_paths_that_are_good(path: str) -> None:
    refuse_path(path)


@pytest.mark.parametrize(
    "paths",
    [
        ["a", "a"],
        ["abc/def", "abc/def"],
        ["a", "A"],
        ["a/x", "A/X"],
        ["ß", "ss"],
        ["\u0390", "\u03aa\u0301"],
        ["σ", "ς"],
        ["\u01c5", "\u01c6"],
        ["a", "a/b"],
        ["A", "a/b"],
        ["a/b/c/d", "a/b"],
        ["a", "a.b", "a-b", "a b", "a/b"],
    ],
)
def test_paths_that_collide_are_refused(paths: list[str]) -> None:
    for ordered in (paths, paths[::-1]):
        with pytest.raises(FormatError) as caught:
            Manifest.of("model", [entry(path, digit=str(index)) for index, path in enumerate(ordered)])
        assert caught.value.reason == "path-collision"


def test_neighbours_of_a_folder_do_not_collide() -> None:
    assert len(Manifest.of("model", [entry(path) for path in ("a/b", "a.b", "a-b", "ab", "a b")]).files) == 5


def test_a_path_of_a_million_folders_is_refused_at_once() -> None:
    start = time.perf_counter()
    assert refused(with_layer(annotations={"org.cncf.model.filepath": "a/" * 1_000_000 + "b"})) == "path-deep"
    assert time.perf_counter() - start < 5


def test_the_order_of_files_does_not_matter() -> None:
    assert Manifest.of("model", reversed(MODEL.files)) == MODEL


def test_files_stand_in_code_point_order() -> None:
    manifest = Manifest.of("model", [entry(path) for path in ("\U0001f600", "\uff5e", "b", "a/c", "a-c", "B.")])
    assert [file.path for file in manifest.files] == ["B.", "a-c", "a/c", "b", "\uff5e", "\U0001f600"]


@pytest.mark.parametrize(
    "other",
    [
        Manifest.of("dataset", MODEL.files),
        Manifest.of("model", MODEL.files[:1]),
        Manifest.of("model", [*MODEL.files, entry("d")]),
        Manifest.of("model", [entry("a/b.bin", digit="1"), MODEL.files[1]]),
        Manifest.of("model", [entry("a/b.bin", size=2), MODEL.files[1]]),
        Manifest.of("model", [entry("a/B.bin"), MODEL.files[1]]),
        Manifest.of("model", [entry("b.bin"), MODEL.files[1]]),
    ],
)
def test_the_digest_binds_kind_names_sizes_and_contents(other: Manifest) -> None:
    assert other.sha256 != MODEL.sha256


def test_no_file_is_refused() -> None:
    with pytest.raises(FormatError) as caught:
        Manifest.of("model", [])
    assert caught.value.reason == "artifact-empty"


def test_too_many_files_are_refused() -> None:
    files = [entry(str(index)) for index in range(MAX_FILES + 1)]
    assert len(Manifest.of("dataset", files[:-1]).files) == MAX_FILES
    with pytest.raises(FormatError) as caught:
        Manifest.of("dataset", files)
    assert caught.value.reason == "artifact-files"
    assert "Parquet" in str(caught.value.hint)


def test_a_manifest_that_is_too_large_is_refused() -> None:
    def paths(last: int) -> Manifest:
        long = [f"{number:04}" + "a" * 195 + ("/" + "b" * 200) * 4 for number in range(3338)]
        return Manifest.of("dataset", [entry(path) for path in [*long, ("z" * 200 + "/") * 2 + "z" * last]])

    room = MAX_MANIFEST_BYTES - len(paths(1).canonical)
    assert len(paths(1 + room).canonical) == MAX_MANIFEST_BYTES
    with pytest.raises(FormatError) as caught:
        paths(2 + room)
    assert caught.value.reason == "artifact-manifest-size"


def test_a_message_about_a_long_path_is_short() -> None:
    with pytest.raises(FormatError) as caught:
        refuse_path("\\" * 1_000_000)
    assert len(str(caught.value)) < 1000


def test_the_exact_bytes_of_a_manifest() -> None:
    manifest = Manifest.of("dataset", [entry("a.csv", size=3)])
    config = f'{{"config":{{}},"descriptor":{{}},"modelfs":{{"diffIds":["sha256:{"0" * 64}"],"type":"layers"}}}}'
    assert manifest.config.decode() == config
    digest = hashlib.sha256(config.encode()).hexdigest()
    assert manifest.canonical.decode() == (
        '{"artifactType":"application/vnd.cncf.model.manifest.v1+json",'
        f'"config":{{"digest":"sha256:{digest}","mediaType":"application/vnd.cncf.model.config.v1+json",'
        f'"size":{len(config)}}},'
        '"layers":[{"annotations":{"org.cncf.model.filepath":"a.csv"},'
        f'"digest":"sha256:{"0" * 64}","mediaType":"application/vnd.cncf.model.dataset.v1.raw","size":3}}],'
        '"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}'
    )


PATHS = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=8)


@settings(deadline=None)
@given(paths=PATHS, kind=st.sampled_from(["model", "dataset"]), size=st.integers(0, 2**53 - 1))
def test_any_manifest_is_its_rfc8785_form_and_comes_back(paths: list[str], kind: Kind, size: int) -> None:
    try:
        manifest = Manifest.of(kind, [entry(path, size=size) for path in paths])
    except FormatError:
        return
    assert rfc8785.dumps(json.loads(manifest.canonical)) == manifest.canonical
    assert rfc8785.dumps(json.loads(manifest.config)) == manifest.config
    assert Manifest.parse(manifest.canonical) == manifest


def test_a_registry_manifest_comes_back() -> None:
    parsed = Manifest.parse(MODEL.canonical)
    assert parsed == MODEL
    assert (parsed.sha256, parsed.kind) == (MODEL.sha256, "model")


def spelt(value: dict[str, Any]) -> bytes:
    return rfc8785.dumps(value)


def with_layer(**changes: Any) -> bytes:
    value = document(MODEL)
    value["layers"][0].update(changes)
    return spelt(value)


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(document(MODEL)).encode(),
        MODEL.canonical + b"\n",
        b" " + MODEL.canonical,
        json.dumps(dict(reversed(document(MODEL).items())), separators=(",", ":")).encode(),
        MODEL.canonical.replace(b"c.json", b"c.js\\u006fn"),
        MODEL.canonical.replace(b"filepath", b"file\\u0070ath"),
        MODEL.canonical.replace(b"a/b.bin", b"a\\/b.bin"),
        MODEL.canonical.replace(b'"schemaVersion":2', b'"schemaVersion":2.0'),
        MODEL.canonical.replace(b'"schemaVersion":2', b'"schemaVersion":20e-1'),
    ],
)
def test_another_spelling_is_refused(data: bytes) -> None:
    assert data != MODEL.canonical
    assert refused(data) == "manifest-not-canonical"


@pytest.mark.parametrize(
    "change",
    [
        {"annotations": {"org.opencontainers.image.created": "2026-01-01T00:00:00Z"}},
        {"subject": {}},
        {"extra": 1},
        {"schemaVersion": 1},
        {"mediaType": "application/vnd.oci.image.index.v1+json"},
        {"artifactType": "application/x"},
        {"config": {}},
        {"config": None},
    ],
)
def test_another_field_or_value_is_refused(change: dict[str, Any]) -> None:
    assert refused(spelt(document(MODEL) | change)) == "manifest-not-canonical"


@pytest.mark.parametrize("name", ["artifactType", "config", "mediaType", "schemaVersion"])
def test_a_missing_field_is_refused(name: str) -> None:
    value = document(MODEL)
    del value[name]
    assert refused(spelt(value)) == "manifest-not-canonical"


def test_an_extra_annotation_is_refused() -> None:
    annotations = {"org.cncf.model.filepath": "a/b.bin", "org.cncf.model.file.mediatype.untested": "true"}
    assert refused(with_layer(annotations=annotations)) == "manifest-not-canonical"


def test_an_extra_field_of_a_layer_is_refused() -> None:
    assert refused(with_layer(urls=["https://example.com"])) == "manifest-not-canonical"


def test_the_layer_type_of_another_file_is_refused() -> None:
    assert refused(with_layer(mediaType=f"{PREFIX}doc.v1.raw")) == "manifest-not-canonical"
    assert refused(with_layer(mediaType=f"{PREFIX}dataset.v1.raw")) == "manifest-not-canonical"


def test_a_size_that_is_not_in_the_config_is_bound_by_the_manifest() -> None:
    assert Manifest.parse(with_layer(size=2)).sha256 != MODEL.sha256


def test_a_digest_that_is_not_in_the_config_is_refused() -> None:
    assert refused(with_layer(digest=f"sha256:{'1' * 64}")) == "manifest-not-canonical"


def test_another_order_is_refused() -> None:
    value = document(MODEL)
    value["layers"].reverse()
    assert refused(spelt(value)) == "manifest-not-canonical"


@pytest.mark.parametrize("paths", [["a", "a"], ["a/b", "a/b"], ["a", "A"], ["a", "a/b"]])
def test_colliding_paths_in_a_manifest_are_refused(paths: list[str]) -> None:
    value = document(Manifest.of("model", [entry("x"), entry("y")]))
    for layer, path in zip(value["layers"], paths, strict=True):
        layer["annotations"] = {"org.cncf.model.filepath": path}
    assert refused(spelt(value)) == "path-collision"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../../etc/passwd", "path-relative"),
        ("/etc/passwd", "path-relative"),
        ("a/../b", "path-relative"),
        ("", "path-relative"),
        ("..\\b", "path-character"),
        (".attestations/a.sigstore.json", "path-excluded"),
        (".git/hooks/pre-commit", "path-excluded"),
        (".Git/hooks/pre-commit", "path-excluded"),
        ("a/" * 1000 + "f", "path-deep"),
        ("e\u0301", "path-nfc"),
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(path: str, reason: str) -> None:
    assert refused(with_layer(annotations={"org.cncf.model.filepath": path})) == reason


@pytest.mark.parametrize("size", [-1, 1.5, True, "1", None, 2**53])
def test_a_size_that_is_no_size_is_refused(size: Any) -> None:
    value = document(MODEL)
    value["layers"][0]["size"] = size
    assert refused(json.dumps(value).encode()) == "manifest-shape"


@pytest.mark.parametrize(
    "digest", ["sha512:" + "0" * 64, "0" * 64, "sha256:" + "0" * 63, "sha256:" + "A" * 64, "sha256:" + "0" * 64 + "\n"]
)
def test_another_form_of_digest_is_refused(digest: str) -> None:
    assert refused(with_layer(digest=digest)) == "digest"


@pytest.mark.parametrize(
    "data",
    [
        b"1",
        b"[]",
        b"null",
        b'"layers"',
        b"{}",
        b'{"layers":null}',
        b'{"layers":1}',
        b'{"layers":"abc"}',
        b'{"layers":{"a":1}}',
        b'{"layers":[1]}',
        b'{"layers":[{}]}',
        with_layer(annotations={}),
        with_layer(annotations=None),
        with_layer(annotations={"org.cncf.model.filepath": 1}),
        with_layer(digest=None),
    ],
)
def test_another_document_is_refused(data: bytes) -> None:
    assert refused(data) == "manifest-shape"


def test_a_manifest_without_layers_is_refused() -> None:
    assert refused(b'{"layers":[]}') == "artifact-empty"


def test_more_bytes_than_a_registry_takes_are_refused() -> None:
    assert refused(MODEL.canonical + b" " * MAX_MANIFEST_BYTES) == "json-size"


@settings(deadline=None)
@given(
    data=st.binary()
    | st.builds(
        lambda at, to: (
            MODEL.canonical[: at % len(MODEL.canonical)] + to + MODEL.canonical[at % len(MODEL.canonical) + 1 :]
        ),
        st.integers(0, 10_000),
        st.binary(max_size=3),
    )
)
def test_any_bytes_give_their_own_manifest_or_a_refusal(data: bytes) -> None:
    try:
        manifest = Manifest.parse(data)
    except LamslsaError:
        return
    assert manifest.canonical == data
