from __future__ import annotations

import datetime as dt
import json
import os
import stat
from pathlib import Path

import pytest

from lamslsa.errors import FormatError, UnavailableError
from lamslsa.fetch.cache import Cache, Fetcher
from lamslsa.fetch.interface import Response

NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
URL = "https://api.example/a?b=c"


class Counting:
    """Answers with the number of the request, or not at all."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.down = False

    def get(self, url: str, *, limit: int) -> Response:
        self.asked.append((url, limit))
        if self.down:
            raise UnavailableError("expected an answer, got none", reason="fetch-connection")
        return Response(
            body=str(len(self.asked)).encode(),
            headers={"sgx-pck-crl-issuer-chain": "chain", "set-cookie": "secret"},
        )


def read(response: Response) -> tuple[tuple[int, str], dt.datetime]:
    """Each answer is good for as many days as its number says."""
    try:
        number = int(response.body)
    except ValueError as err:
        raise FormatError("expected a number, got another body", reason="fetch-answer") from err
    return (number, response.headers["sgx-pck-crl-issuer-chain"]), NOW + number * DAY


def fetcher(client: Counting, folder: Path | None, *, at: dt.datetime = NOW, refresh: bool = False) -> Fetcher:
    return Fetcher(client, cache=None if folder is None else Cache(folder), now=at, refresh=refresh)


def numbers(client: Counting, folder: Path | None, *, at: dt.datetime = NOW, refresh: bool = False) -> int:
    (number, chain), expires = fetcher(client, folder, at=at, refresh=refresh).get(URL, limit=9, read=read)
    assert (chain, expires) == ("chain", NOW + number * DAY)
    return number


def test_kept_until_it_has_to_be_replaced(tmp_path: Path) -> None:
    client, folder = Counting(), tmp_path / "a" / "cache"
    assert numbers(client, folder) == 1
    assert numbers(client, folder, at=NOW + DAY - dt.timedelta(seconds=1)) == 1
    assert client.asked == [(URL, 9)]
    assert numbers(client, folder, at=NOW + DAY) == 2
    assert numbers(client, folder, at=NOW + DAY) == 2
    assert len(client.asked) == 2


def test_nothing_is_kept_without_a_cache() -> None:
    client = Counting()
    assert [numbers(client, None), numbers(client, None)] == [1, 2]


def test_refresh_asks_and_keeps(tmp_path: Path) -> None:
    client = Counting()
    assert [numbers(client, tmp_path), numbers(client, tmp_path, refresh=True)] == [1, 2]
    assert numbers(client, tmp_path) == 2


def test_each_url_has_its_own(tmp_path: Path) -> None:
    client = Counting()
    both = fetcher(client, tmp_path)
    assert both.get(URL, limit=9, read=read)[0][0] == 1
    assert both.get(URL + "d", limit=9, read=read)[0][0] == 2
    assert both.get(URL, limit=9, read=read)[0][0] == 1


def test_only_what_means_something_is_kept_and_for_nobody_else(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    numbers(Counting(), folder)
    (entry,) = folder.iterdir()
    assert json.loads(entry.read_bytes())["headers"] == {"sgx-pck-crl-issuer-chain": "chain"}
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"{}",
        b"[]",
        b'{"url":"https://api.example/other","headers":{"sgx-pck-crl-issuer-chain":"x"},"body":"OQ=="}',
        b'{"url":"https://api.example/a?b=c","headers":{"sgx-pck-crl-issuer-chain":"x"},"body":"O"}',
        b'{"url":"https://api.example/a?b=c","headers":{"sgx-pck-crl-issuer-chain":"x"},"body":"eA=="}',
        b'{"url":"https://api.example/a?b=c","headers":7,"body":"OQ=="}',
    ],
)
def test_an_entry_that_cannot_be_read_is_asked_for_anew(tmp_path: Path, entry: bytes) -> None:
    client = Counting()
    numbers(client, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(entry)
    assert numbers(client, tmp_path) == 2
    assert numbers(client, tmp_path, at=NOW + DAY) == 2


def test_an_entry_that_keeps_one_waiting_is_asked_for_anew(tmp_path: Path) -> None:
    client = Counting()
    numbers(client, tmp_path)
    (path,) = tmp_path.iterdir()
    path.unlink()
    os.mkfifo(path)
    assert numbers(client, tmp_path) == 2
    assert numbers(client, tmp_path) == 2


def test_what_was_refused_is_not_kept(tmp_path: Path) -> None:
    def refuse(_: Response) -> tuple[int, dt.datetime]:
        raise FormatError("expected something else, got this", reason="fetch-answer", hint="ask another server")

    with pytest.raises(FormatError) as caught:
        fetcher(Counting(), tmp_path).get(URL, limit=9, read=refuse)
    assert (caught.value.reason, caught.value.hint) == ("fetch-answer", "ask another server")
    assert URL in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_serves_while_the_server_is_down(tmp_path: Path) -> None:
    client = Counting()
    numbers(client, tmp_path)
    client.down = True
    assert numbers(client, tmp_path) == 1
    with pytest.raises(UnavailableError):
        numbers(client, tmp_path, at=NOW + DAY)


def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    notes: list[str] = []
    for _ in range(2):
        unkept = Fetcher(Counting(), cache=Cache(tmp_path / "file"), now=NOW, notify=notes.append)
        assert unkept.get(URL, limit=9, read=read)[0][0] == 1
    assert len(notes) == 2
    assert "not kept" in notes[0]
