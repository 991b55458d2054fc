"""Which host a URL names, for every reader of it."""

from __future__ import annotations

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from lamslsa._http import Authority, authority, broken
from lamslsa.errors import FormatError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://registry.example", Authority("https", "registry.example", 443)),
        ("HTTPS://Registry.Example:443/v2/", Authority("https", "registry.example", 443)),
        ("http://127.0.0.1:5000?a=b", Authority("http", "127.0.0.1", 5000)),
        ("http://[::1]:1#x", Authority("http", "::1", 1)),
        ("http://[0:0::1]/", Authority("http", "::1", 80)),
        ("https://a.example/x@y:z", Authority("https", "a.example", 443)),
        ("https://a.example:65535/", Authority("https", "a.example", 65535)),
    ],
)
def test_whom_a_url_asks(url: str, expected: Authority) -> None:
    assert authority(url) == expected


@pytest.mark.parametrize(
    ("url", "got"),
    [
        ("", "nothing"),
        ("http://192.0.2.1:80\\[::1]/", "a backslash"),
        ("http://[::1]\\@192.0.2.1/", "a backslash"),
        ("https://a.example/a\\b", "a backslash"),
        ("https://me:hunter2@a.example/", "a user or password"),
        ("https://@a.example/", "a user or password"),
        ("https://a.example/\n", "other characters"),
        ("https://a.ex\tample/", "other characters"),
        ("https://a.example/ x", "other characters"),
        ("https://\u00e4.example/", "other characters"),
        ("https://a.example/" + "a" * 8192, "other characters"),
        ("ftp://a.example/", "another scheme"),
        ("//a.example/", "another scheme"),
        ("https:/a.example/", "another scheme"),
        ("https:///a.example/", "another scheme"),
        ("https://a_b.example/", "another scheme"),
        ("https://a.example./", "another scheme"),
        ("https://a.example:/", "another scheme"),
        ("https://a.example:port/", "another scheme"),
        ("https://a.example:-1/", "another scheme"),
        ("https://a.example:999999/", "another scheme"),
        ("https://[::1/", "another scheme"),
        ("https://[::1]x/", "another scheme"),
        ("https://[fe80::1%25eth0]/", "another scheme"),
        ("https://[1:2]/", "an address that is none"),
        ("https://a.example:0/", "a port that is none"),
        ("https://a.example:65536/", "a port that is none"),
    ],
)
def test_urls_that_readers_differ_about(url: str, got: str) -> None:
    with pytest.raises(FormatError) as caught:
        authority(url)
    assert caught.value.reason == "url-authority"
    assert str(caught.value).partition(", got ")[2].startswith(got)
    assert "hunter2" not in str(caught.value)


@given(st.text(alphabet="ahtps:/@[].\\#?%1 ", max_size=30).map(lambda tail: f"https://{tail}"))
def test_the_client_connects_there(url: str) -> None:
    try:
        found = authority(url)
    except FormatError:
        return
    read = urllib3.util.parse_url(url)
    assert (read.scheme, (read.host or "").strip("[]"), read.port or 443) == (found.scheme, found.host, found.port)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://A.example:443/x", "a.example"),
        ("http://a.example:443", "a.example:443"),
        ("http://[::1]:5/", "[::1]:5"),
    ],
)
def test_how_people_write_it(url: str, shown: str) -> None:
    assert str(authority(url)) == shown


@pytest.mark.parametrize(
    ("err", "expected"),
    [
        (
            urllib3.exceptions.ProtocolError("x", ConnectionResetError(104, "Connection reset by peer")),
            "connection reset",
        ),
        (urllib3.exceptions.ProtocolError("x", OSError("secret")), "a broken connection"),
        (urllib3.exceptions.ProxyError("x", OSError("Tunnel connection failed: 403 secret")), "a proxy that does not"),
        (urllib3.exceptions.ConnectTimeoutError("secret"), "no connection in time"),
        (urllib3.exceptions.NewConnectionError(None, "secret"), "no connection"),  # type: ignore[arg-type]
        (urllib3.exceptions.ReadTimeoutError(None, "", "secret"), "no answer in time"),  # type: ignore[arg-type]
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_broken_connection_says(err: BaseException, expected: str) -> None:
    assert broken(err).startswith(expected)
    assert "secret" not in broken(err)


def test_the_words_of_the_system_are_found_behind_an_error() -> None:
    err = urllib3.exceptions.ProtocolError("x")
    err.__cause__ = ConnectionRefusedError(111, "Connection refused")
    assert broken(err) == "connection refused"
    err.__context__ = err
    assert broken(err) == "connection refused"
