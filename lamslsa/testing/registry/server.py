"""The registry: which path leads where, and who may follow it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from lamslsa.testing.registry._blobs import DIGEST, Uploads, delete_blob, get_blob
from lamslsa.testing.registry._manifests import (
    TAG,
    delete_manifest,
    get_manifest,
    list_referrers,
    list_tags,
    put_manifest,
)
from lamslsa.testing.registry._tls import server_context
from lamslsa.testing.registry.auth import Access, Basic, Bearer, Gate
from lamslsa.testing.registry.behaviour import Behaviour
from lamslsa.testing.registry.contents import Contents
from lamslsa.testing.registry.http import LoopbackServer
from lamslsa.testing.registry.messages import Call, Refusal, Reply

__all__ = ["Elsewhere", "Registry"]

_REPOSITORY: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
_PATH: Final = re.compile(
    rf"/v2/(?P<repository>{_REPOSITORY})/(?:"
    rf"(?P<kind>blobs|referrers)/(?P<digest>{DIGEST})|blobs/uploads/(?P<upload>[0-9a-f]*)"
    rf"|manifests/(?P<reference>{DIGEST}|{TAG})|(?P<tags>tags/list))"
)
_READS: Final = frozenset({"GET", "HEAD"})


class Registry(LoopbackServer):
    """An OCI registry in a folder; used as a context manager.

    Args:
        folder: kept, and found again by the next registry.
        behaviour: how it differs from others; can be replaced at any time.
        auth: what it asks of its clients; None for nothing.
        tls: whether it answers https; `ca_file` is then what to trust.
        port: 0 for any that is free.
        clock: seconds, for tokens that expire.

    Attributes:
        contents: what is kept, for a test to look into and to change.
        uploads: those that are not finished.
        elsewhere: another server, to which redirects lead.
        ca_file: the certificate authority in PEM; None without TLS.
    """

    def __init__(
        self,
        folder: Path,
        *,
        behaviour: Behaviour | None = None,
        auth: Basic | Bearer | None = None,
        tls: bool = False,
        port: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ca_file: Path | None = None
        context = None
        if tls:
            context, self.ca_file = server_context(folder)
        super().__init__(port=port, tls=context)
        self.behaviour = behaviour or Behaviour()
        self.contents = Contents(folder)
        self.uploads = Uploads(self.contents)
        in_place = not (isinstance(auth, Bearer) and auth.elsewhere)
        self._gate = Gate(auth, realm=lambda: (self if in_place else self.elsewhere).url + "/token", clock=clock)
        self.elsewhere = Elsewhere(self.contents, self._gate)

    def expire_tokens(self) -> None:
        """Let every token that was given expire now."""
        self._gate.expire()

    def redirect_target(self) -> str:
        """Where a redirect leads that names no host."""
        return self.elsewhere.url

    def __enter__(self) -> Self:
        self.elsewhere.__enter__()
        return super().__enter__()

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        self.elsewhere.__exit__(*exception)
        self.contents.close()

    def answer(self, call: Call) -> Reply:
        """The answer to a request.

        Raises:
            Refusal: an error is the answer.
        """
        if call.path == "/token":
            return self._gate.token(call)
        if call.path in {"/v2", "/v2/"}:
            self._gate.refuse(call, [])
            return Reply(status=200, headers={"Content-Type": "application/json"}, body=(b"{}",))
        found = _PATH.fullmatch(call.path)
        if found is None:
            raise Refusal(404, "NAME_UNKNOWN")
        self._gate.refuse(call, _accesses(call, found))
        reply = self._answer(call, found)
        location = reply.headers.get("Location")
        if location is None or self.behaviour.locations == "relative":
            return reply
        return replace(reply, headers={**reply.headers, "Location": self.url + location})

    def _answer(self, call: Call, found: re.Match[str]) -> Reply:
        contents, behaviour, repository = self.contents, self.behaviour, found["repository"]
        kind = found["kind"] or found.lastgroup
        if call.method == "DELETE" and kind != "upload" and not behaviour.deletes:
            raise Refusal(405, "UNSUPPORTED")
        match call.method, kind:
            case "GET" | "HEAD", "blobs":
                reply = get_blob(contents, call, repository, found["digest"])
            case "DELETE", "blobs":
                reply = delete_blob(contents, repository, found["digest"])
            case "POST", "upload" if not found["upload"]:
                reply = self.uploads.begin(behaviour, call, repository)
            case _, "upload":
                reply = self.uploads.go_on(behaviour, call, repository, found["upload"])
            case "GET" | "HEAD", "reference":
                reply = get_manifest(contents, call, repository, found["reference"])
            case "PUT", "reference":
                reply = put_manifest(contents, behaviour, call, repository, found["reference"])
            case "DELETE", "reference":
                reply = delete_manifest(contents, repository, found["reference"])
            case "GET" | "HEAD", "referrers":
                reply = list_referrers(contents, behaviour, call, repository, found["digest"])
            case "GET" | "HEAD", "tags":
                reply = list_tags(contents, behaviour, call, repository)
            case _:
                raise Refusal(405, "UNSUPPORTED")
        return reply


class Elsewhere(LoopbackServer):
    """Another host: it hands out every blob to everybody, gives tokens, and logs what it was sent."""

    def __init__(self, contents: Contents, gate: Gate) -> None:
        super().__init__()
        self._contents = contents
        self._gate = gate

    def answer(self, call: Call) -> Reply:
        """The answer to a request.

        Raises:
            Refusal: an error is the answer.
        """
        if call.path == "/token":
            return self._gate.token(call)
        found = _PATH.fullmatch(call.path)
        if found is None or found["kind"] != "blobs" or call.method not in _READS:
            raise Refusal(404, "BLOB_UNKNOWN")
        return get_blob(self._contents, call, found["repository"], found["digest"])


def _accesses(call: Call, found: re.Match[str]) -> list[Access]:
    """What a request needs; one that mounts a blob has to be allowed to read it where it is."""
    repository = found["repository"]
    if call.method in _READS and found["upload"] is None:
        return [(repository, "pull")]
    if call.method == "DELETE" and found["upload"] is None:
        return [(repository, "delete")]
    source = call.parameter("from")
    return [(repository, "pull"), (repository, "push"), *([(source, "pull")] if source else [])]
