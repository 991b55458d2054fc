"""What takes answers of registries, layouts on disk, and what users write about both."""

from __future__ import annotations

import datetime as dt
import io
import json
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final
from unittest import mock
from urllib.parse import urlsplit

import urllib3

from lamslsa.artifact import Manifest
from lamslsa.errors import FormatError
from lamslsa.store.oci.credentials import Credential
from lamslsa.store.oci.reference import Reference
from tests.fuzz import signing_seeds
from tests.fuzz.mutate import join, split
from tests.fuzz.parsers import attempt, require
from tests.fuzz.seeds import NOW
from tests.fuzz.signing_seeds import FILES
from tests.fuzz.target import KIB, Target

__all__ = ["TARGETS"]

_CREATED: Final = "2026-11-22T00:00:00Z"
_REGISTRY: Final = "registry.example"
_SUBJECT: Final = "33" * 32
_SECRET: Final = "the password"


@lru_cache(maxsize=1)
def _referrers() -> Sequence[bytes]:
    """A referrer manifest, an artifact's manifest, and an index of both."""
    from lamslsa import _codec
    from lamslsa.store.referrer import INDEX_TYPE, MANIFEST_TYPE, Descriptor, artifact_descriptor, make_referrer

    subject = artifact_descriptor(Manifest.of("model", FILES))
    made = make_referrer(subject, signing_seeds.envelopes()[0], created=_CREATED)
    model = Manifest.of("model", FILES).canonical
    entries = [made.descriptor.wire(), Descriptor.of(model, MANIFEST_TYPE).wire()]
    return [
        made.manifest,
        model,
        _codec.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}),
    ]


def _referrer(data: bytes) -> object:
    from lamslsa.store.referrer import parse_referrer

    found = parse_referrer(data)
    require(found.bundle is None or found.subject is not None, "a bundle of nothing")
    return found


def _index(data: bytes) -> object:
    from lamslsa.store.referrer import Descriptor, parse_descriptor, parse_index

    entries = parse_index(data)
    for entry in entries:
        if isinstance(entry, Descriptor):
            require(parse_descriptor(entry.wire(), what="an entry") == entry, "an entry that reads back as another")
    return entries


def _contents(data: bytes) -> object:
    """What a bundle says that it is about, and the name of its file."""
    from lamslsa.store import naming
    from lamslsa.store.contents import about, each
    from lamslsa.store.interface import StoredBundle

    list(each(StoredBundle(source="a.intoto.jsonl", data=data)))
    found = about(data)
    name = naming.file_name(found.name, data)
    require(naming.is_bundle_name(name) and "/" not in name and name.isascii(), f"a name of its own: {name!r}")
    return found


def _reference(data: bytes) -> object:
    from lamslsa.store.oci.reference import is_loopback

    text = data.decode("utf-8", "replace")
    found = Reference.parse(text)
    require(Reference.parse(str(found)) == found, "a reference that reads back as another one")
    require(urlsplit(f"https://{found.registry}/v2/").netloc == found.registry, "a host that leads elsewhere")
    is_loopback(found.host)
    return found


def _references() -> list[bytes]:
    return [
        b"oci://registry.example:5000/team/model:v1@sha256:" + b"0a" * 32,
        b"oci://[::1]:5000/a__b/c-d.e",
        b"oci://docker.io/library/alpine",
    ]


def _layout(data: bytes) -> object:
    """An image layout with this ``index.json``: every bundle in it is the one that was put there, or an error."""
    from lamslsa.store.image_layout import ImageLayoutStore

    folder, known, _ = _made_layout()
    (folder / "index.json").write_bytes(data)
    pinned = ImageLayoutStore(path=folder, pinned=Manifest.of("model", FILES).sha256)
    for found in attempt(lambda: list(pinned.bundles())) or ():
        require(not isinstance(found.data, bytes) or found.data == known, "a bundle that nobody has put there")
    store = ImageLayoutStore(path=folder)
    require(store.manifest() == Manifest.of("model", FILES), "another artifact")
    return list(store.bundles())


@lru_cache(maxsize=1)
def _made_layout() -> tuple[Path, bytes, bytes]:
    """A layout, the one bundle in it, and its index as it was."""
    from lamslsa.store.image_layout import ImageLayoutStore
    from lamslsa.store.layout_blobs import LayoutBlobs
    from lamslsa.store.layout_index import LayoutIndex
    from lamslsa.store.referrer import MANIFEST_TYPE, Descriptor

    folder = Path(tempfile.mkdtemp(prefix="lamslsa-fuzz-"))
    layout, model = LayoutIndex(folder), Manifest.of("model", FILES).canonical
    layout.create()
    LayoutBlobs(folder).write(model)
    with layout.changing() as index:
        index["manifests"].append(Descriptor.of(model, MANIFEST_TYPE).wire())
    bundle = signing_seeds.envelopes()[0]
    ImageLayoutStore(path=folder, clock=lambda: NOW).put(bundle, name="bundle")
    return folder, bundle, (folder / "index.json").read_bytes()


def _challenge(data: bytes) -> object:
    """``WWW-Authenticate``: nothing is sent but over https, and a refusal shows no secret."""
    from lamslsa.errors import LamslsaError
    from lamslsa.store.oci.credentials import IdentityToken, Password
    from lamslsa.store.oci.login import Login, parse_challenges

    header, answer = (part.decode("latin-1") for part in split(data, 2))
    found = parse_challenges(header)

    def ask(method: str, url: str, headers: Mapping[str, str], body: bytes | None, limit: int) -> tuple[int, bytes]:
        require(urlsplit(url).scheme == "https" and bool(urlsplit(url).hostname), f"asked at {url[:100]}")
        return 200, answer.encode("latin-1")

    refused: LamslsaError | None = None
    for credential in (Password(username="me", password=_SECRET), IdentityToken(token=_SECRET), None):
        login = Login(_REGISTRY, secure=True, find=partial(_same, credential), ask=ask, now=lambda: 1.0)
        try:
            login.answer(header, "repository:a:pull", sent=None)
            said = login.header("repository:a:pull")
        except LamslsaError as err:
            refused = err
            require(_SECRET not in f"{err}{err.hint}", "a secret in a message")
            continue
        require(said is None or (said.isascii() and said.isprintable()), "a header of several lines")
        if credential is not None:
            require(_SECRET not in login.redacted(f"you sent {_SECRET}"), "a secret in what a server says")
    if refused is not None:
        raise refused
    return found


def _same(credential: Credential | None) -> Credential | None:
    return credential


def _challenges() -> list[bytes]:
    token = b'{"token":"abc.def","expires_in":300}'
    return [
        join(b'Bearer realm="https://auth.example/token",service="r",scope="a b"', token),
        join(b'Basic realm="x\\"y", Bearer realm="https://auth.example/token?x=1", service=r', token),
        join(b"Basic realm=x", token),
    ]


def _answers(data: bytes) -> object:
    """A registry that answers one question after the other; what is sent to whom stays within the rules."""
    from lamslsa.store.oci.blobs import Blobs
    from lamslsa.store.oci.manifests import Manifests
    from lamslsa.store.oci.options import Options
    from lamslsa.store.oci.referrers import Referrers
    from lamslsa.store.oci.transport import Transport

    script = _script(data)
    pauses: list[float] = []
    environ = {
        "LAMSLSA_REGISTRY_HOST": _REGISTRY,
        "LAMSLSA_REGISTRY_USERNAME": "me",
        "LAMSLSA_REGISTRY_PASSWORD": _SECRET,
    }
    options = Options(environ=environ, workers=1, sleep=pauses.append, clock=lambda: NOW)

    class Scripted(Transport):
        asking = False

        def _ask(self, *args: Any) -> tuple[int, bytes]:
            Scripted.asking = True
            try:
                return super()._ask(*args)
            finally:
                Scripted.asking = False

        def _urlopen(
            self, method: str, url: str, headers: Mapping[str, str], body: Any, length: int, **options: Any
        ) -> Any:
            host = urlsplit(url).hostname
            require(urlsplit(url).scheme == "https", f"asked at {url[:100]}")
            told = "Authorization" in headers
            require(not told or host == _REGISTRY or Scripted.asking, f"credentials for {host}")
            status, names, content = script.pop(0) if script else (404, {}, b"")
            return urllib3.HTTPResponse(
                body=io.BytesIO(content), headers=names, status=status, preload_content=False, request_method=method
            )

    with mock.patch("lamslsa.store.oci.pools._context", _no_authorities):  # nothing is connected to
        transport = Scripted(Reference.parse(f"oci://{_REGISTRY}/model"), options)
    try:
        manifests, blobs = Manifests(transport), Blobs(transport)
        referrers = Referrers(transport, manifests, blobs, place=f"oci://{_REGISTRY}/model", workers=1)
        found = list(referrers.bundles(_SUBJECT))
    finally:
        transport.close()
    require(all(0 <= pause <= 60 for pause in pauses), "a long pause")
    return found


def _no_authorities(_: Path | None) -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _script(data: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """Status, headers and body of each answer; headers are as the HTTP client would read them."""
    try:
        value = json.loads(data)
        return [
            (
                max(100, min(599, int(status))),
                {str(name): str(text).encode("latin-1", "replace").decode("latin-1") for name, text in headers.items()},
                str(body).encode("utf-8", "replace"),
            )
            for status, headers, body in value[:20]
        ]
    except (ValueError, TypeError, AttributeError, OverflowError, KeyError, RecursionError) as err:
        raise FormatError("expected a script, got none", reason="fuzz") from err


def _scripts() -> list[bytes]:
    from lamslsa.store.referrer import INDEX_TYPE

    index = _referrers()[2].decode()
    challenge = {"WWW-Authenticate": 'Bearer realm="https://auth.example/token",service="r"'}
    listed = {"Content-Type": INDEX_TYPE, "Link": '</v2/model/referrers/x?page=2>; rel="next"'}
    token = '{"token":"abc","expires_in":300}'
    empty = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []})
    manifest = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
    return [
        json.dumps(
            [
                [401, challenge, ""],
                [200, {}, token],
                [200, listed, index],
                [200, {"Content-Type": INDEX_TYPE}, empty],
                [404, {}, ""],
                [200, manifest, _referrers()[0].decode()],
            ]
        ).encode(),
        json.dumps(
            [
                [429, {"Retry-After": "3"}, ""],
                [503, {"Retry-After": "Sun, 22 Nov 2026 00:00:05 GMT"}, '{"errors":[{"code":"BUSY"}]}'],
                [307, {"Location": "https://cdn.example/a?b"}, ""],
                [200, {"Content-Type": INDEX_TYPE, "Content-Length": str(len(index))}, index],
            ]
        ).encode(),
    ]


def _link(data: bytes) -> object:
    """``Link``: the next page of a list is at the registry itself."""
    from lamslsa.store.oci.answers import Answer
    from lamslsa.store.oci.options import Options
    from lamslsa.store.oci.referrers import Referrers
    from lamslsa.store.oci.transport import Transport
    from lamslsa.store.referrer import INDEX_TYPE

    with mock.patch("lamslsa.store.oci.pools._context", _no_authorities):
        transport = Transport(Reference.parse(f"oci://{_REGISTRY}/model"), Options())
    headers = {"content-type": INDEX_TYPE, "link": data.decode("latin-1")}
    url = f"https://{_REGISTRY}/v2/model/referrers/sha256:{_SUBJECT}"
    answer = Answer(status=200, headers=headers, body=b"{}", url=url)
    with mock.patch.object(transport, "request", return_value=answer):
        referrers = Referrers(transport, mock.Mock(), mock.Mock(), place="x", workers=1)
        with mock.patch("lamslsa.store.oci.referrers.parse_index", return_value=()):
            found = referrers._page(url)
    require(found is not None, "no page")
    following = found[1] if found else ""
    parts = urlsplit(following)
    own = (parts.scheme, parts.hostname, parts.port or 443) == ("https", _REGISTRY, 443)
    require(own or not following, f"elsewhere: {following[:100]}")
    if not following:
        raise FormatError("expected another page, got none", reason="fuzz")
    return following


def _retry_after(data: bytes) -> object:
    """``Retry-After``: a pause, or nothing that can be read."""
    from lamslsa.store.oci.attempts import Attempts
    from lamslsa.store.oci.options import Options

    found = Attempts(Options(clock=lambda: NOW)).retry_after(data.decode("latin-1"))
    if found is None:
        raise FormatError("expected a pause, got none", reason="fuzz")
    require(found >= 0, "a pause that is none")
    return found


def _docker_config(data: bytes) -> object:
    """``config.json`` of docker: a refusal quotes nothing of it."""
    from lamslsa.errors import LamslsaError
    from lamslsa.store.oci.credentials import find_credential

    folder = _config_folder()
    (folder / "config.json").write_bytes(data)
    found = None
    for text in ("oci://ghcr.io/acme/model", "oci://docker.io/library/alpine", "oci://registry.example:5000/a/b"):
        try:
            credential = find_credential(Reference.parse(text), {"DOCKER_CONFIG": str(folder), "PATH": ""})
        except LamslsaError as err:
            require(_SECRET not in f"{err}{err.hint}{err.__cause__}", "a secret in a message")
            raise
        require(_SECRET not in repr(credential), "a secret in a representation")
        found = found or credential
    return found


@lru_cache(maxsize=1)
def _config_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="lamslsa-fuzz-"))


def _docker_configs() -> list[bytes]:
    entry = {"auth": "bWU6dGhlIHBhc3N3b3Jk"}
    return [
        json.dumps({"auths": {"ghcr.io": entry, "https://index.docker.io/v1/": entry}}).encode(),
        json.dumps({"auths": {"ghcr.io/acme": {"identitytoken": _SECRET}}, "credHelpers": {"a.example": "x"}}).encode(),
        json.dumps({"auths": {"ghcr.io": {"username": "me", "password": _SECRET}}, "credsStore": "x"}).encode(),
    ]


def _links() -> list[bytes]:
    return [b'</v2/model/referrers/x?n=2>; rel="next"', b'<a>; rel="prev", <https://registry.example/b>; x=1; rel=next']


def _dates() -> list[bytes]:
    return [b"3", (NOW + dt.timedelta(seconds=5)).strftime("%a, %d %b %Y %H:%M:%S GMT").encode()]


TARGETS: Final[Mapping[str, Target]] = {
    "referrer": Target(take=_referrer, seeds=_referrers, max_bytes=4 * KIB),
    "referrer-index": Target(take=_index, seeds=lambda: _referrers()[2:], max_bytes=4 * KIB),
    "bundle-contents": Target(take=_contents, seeds=lambda: signing_seeds.envelopes()[:1], max_bytes=32 * KIB),
    "registry-reference": Target(take=_reference, seeds=_references, max_bytes=2 * KIB),
    "image-layout": Target(take=_layout, seeds=lambda: [_made_layout()[2]], max_bytes=4 * KIB),
    "registry-challenge": Target(take=_challenge, seeds=_challenges, parts=2, max_bytes=4 * KIB),
    "registry-answers": Target(take=_answers, seeds=_scripts),
    "registry-link": Target(take=_link, seeds=_links, max_bytes=2 * KIB),
    "registry-retry-after": Target(take=_retry_after, seeds=_dates, max_bytes=512),
    "docker-config": Target(take=_docker_config, seeds=_docker_configs, max_bytes=4 * KIB),
}
