"""The part of GitHub's API by which gh attaches files to releases, and gets them: HTTP over a socket of this machine.

gh takes the socket from its configuration (`http_unix_socket`), and then speaks to it whatever the host is called.
"""

from __future__ import annotations

import contextlib
import json
import socketserver
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

__all__ = ["GitHub", "serve"]

TOKEN = "ghs_of-this-job"


class GitHub:
    """One repository with its releases.

    Attributes:
        releases: files by tag.
        replaced: how many files were deleted or changed.
        fails_after: uploads that succeed before every further one fails; None where none fails.
        asked: method and path of each request.
    """

    def __init__(self, repository: str) -> None:
        self.repository = repository
        self.releases: dict[str, dict[str, bytes]] = {}
        self.replaced = 0
        self.uploaded = 0
        self.fails_after: int | None = None
        self.asked: list[str] = []
        self._lock = threading.Lock()

    def answer(self, method: str, url: str, token: str | None, body: bytes) -> tuple[int, Any]:
        """Status, and what is sent: bytes, or JSON."""
        parts = urlsplit(url)
        path = [unquote(part) for part in parts.path.strip("/").split("/")]
        with self._lock:
            self.asked.append(f"{method} {url}")
            if token not in {f"token {TOKEN}", f"Bearer {TOKEN}"}:
                return 401, {"message": "Bad credentials"}
            if path[:3] != ["repos", *self.repository.split("/")]:
                return 404, {"message": "Not Found"}
            match method, path[3:]:
                case "GET", ["releases", "tags", tag] if tag in self.releases:
                    return 200, self._release(tag)
                case "POST", ["releases", number, "assets"]:
                    return self._upload(list(self.releases)[int(number)], parse_qs(parts.query)["name"][0], body)
                case "GET", ["releases", "assets", number, name]:
                    return 200, list(self.releases.values())[int(number)][name]
                case "DELETE" | "PATCH" | "PUT", _:
                    self.replaced += 1
                    return 204, {}
                case _:
                    return 404, {"message": "Not Found"}

    def _upload(self, tag: str, name: str, body: bytes) -> tuple[int, Any]:
        if self.fails_after is not None and self.uploaded >= self.fails_after:
            return 422, {"message": "the disk of ](http://evil.example) is full\r\n\r\n## ✅ Attached"}
        if name in self.releases[tag]:
            return 422, {"message": "Validation Failed", "errors": [{"code": "already_exists"}]}
        self.uploaded += 1
        self.releases[tag][name] = body
        return 201, {"name": name, "state": "uploaded"}

    def _release(self, tag: str) -> dict[str, Any]:
        number = list(self.releases).index(tag)
        base = f"https://api.github.com/repos/{self.repository}/releases"
        assets = [
            {"name": name, "url": f"{base}/assets/{number}/{name}", "size": len(data), "state": "uploaded"}
            for name, data in self.releases[tag].items()
        ]
        uploads = f"https://uploads.github.com/repos/{self.repository}/releases/{number}/assets{{?name,label}}"
        return {"id": number, "tag_name": tag, "url": f"{base}/{number}", "upload_url": uploads, "assets": assets}


@contextlib.contextmanager
def serve(github: GitHub, folder: Path) -> Iterator[dict[str, str]]:
    """Answer gh, and yield the environment in which it asks here; ``folder`` has a short path, as sockets need one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = github.answer(self.command, self.path, self.headers.get("Authorization"), body)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            with contextlib.suppress(BrokenPipeError):  # gh goes when one of several uploads failed
                self._send(status, content, data)

        def _send(self, status: int, content: Any, data: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.send_header(
                "Content-Type", "application/octet-stream" if isinstance(content, bytes) else "application/json"
            )
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = _any  # noqa: N815 - names of the library

        def log_message(self, *_: object) -> None: ...

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

        def get_request(self) -> tuple[Any, Any]:
            return super().get_request()[0], ("gh", 0)

    with Server(str(folder / "github"), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            (folder / "gh").mkdir()
            (folder / "gh" / "config.yml").write_text(f"http_unix_socket: {folder / 'github'}\n", encoding="utf-8")
            programs = Path(sys.executable).parent
            yield {"GH_CONFIG_DIR": str(folder / "gh"), "GITHUB_REPOSITORY": github.repository, "GH": f"{programs}/gh"}
        finally:
            server.shutdown()
            thread.join()
