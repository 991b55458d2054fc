"""Credentials: for whom they are asked, and files to the last byte."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from lamslsa.store.oci import credentials
from lamslsa.store.oci.credentials import Password
from tests.unit.store.oci.test_credentials import HOST, SECRET, docker, found, helper, refused

ECHO = 'read server || true; printf \'{"Username":"%s","Secret":"%s"}\' "$server" "${GIVEN:-none}"'


@pytest.mark.parametrize(
    ("reference", "server"),
    [
        (f"oci://{HOST}/team/model", HOST),
        ("oci://registry.example:5000/team/model", "registry.example:5000"),
        ("oci://docker.io/library/alpine", "https://index.docker.io/v1/"),
        ("oci://index.docker.io/library/alpine", "https://index.docker.io/v1/"),
    ],
)
def test_a_helper_is_asked_for_this_registry_alone(tmp_path: Path, reference: str, server: str) -> None:
    environ = docker(tmp_path / "config", {"credsStore": "echo"})
    environ |= {"PATH": helper(tmp_path / "bin", "echo", ECHO), "GIVEN": "environment"}
    assert found(environ, reference) == Password(username=server, password="environment")


def test_helpers_see_no_other_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIVEN", "of this process")
    environ = docker(tmp_path / "config", {"credHelpers": {HOST: "echo"}})
    environ["PATH"] = helper(tmp_path / "bin", "echo", ECHO)
    assert found(environ) == Password(username=HOST, password="none")


def test_helpers_are_looked_up_in_the_path_that_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", helper(tmp_path / "bin", "echo", ECHO))
    environ = docker(tmp_path / "config", {"credsStore": "echo"})
    assert refused(environ).reason == "registry-credential-helper"


@pytest.mark.parametrize("answer", ['{"Username":1,"Secret":"x"}', '{"Username":"x","Secret":1}'])
def test_answers_of_helpers_are_texts(tmp_path: Path, answer: str) -> None:
    environ = docker(tmp_path / "config", {"credsStore": "other"})
    environ["PATH"] = helper(tmp_path / "bin", "other", f"printf '%s' '{answer}'")
    assert refused(environ).reason == "registry-credential-helper"


def test_the_environment_alone_is_enough(tmp_path: Path) -> None:
    """A file that cannot be read is no business of who does not need it."""
    environ = docker(tmp_path, "no JSON") | {"LAMSLSA_REGISTRY_HOST": HOST}
    assert found(environ | {"LAMSLSA_REGISTRY_USERNAME": "u"}) == Password(username="u", password="")
    assert found(environ | {"LAMSLSA_REGISTRY_PASSWORD": SECRET}) == Password(username="", password=SECRET)


@pytest.mark.parametrize(("more", "taken"), [(0, True), (1, False)])
def test_how_large_a_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int, taken: bool) -> None:
    environ = docker(tmp_path, {"auths": {HOST: {"username": "u", "password": SECRET}}})
    monkeypatch.setattr(credentials, "_MAX_FILE", (tmp_path / "config.json").stat().st_size - more)
    if taken:
        assert found(environ) == Password(username="u", password=SECRET)
    else:
        assert refused(environ).reason == "registry-credentials"


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        (base64.b64encode(b"u:p\0\0").decode(), Password(username="u", password="p")),
        (base64.b64encode(b"u: p ").decode(), Password(username="u", password=" p ")),
        (base64.b64encode(b"u:\0p").decode(), Password(username="u", password="\0p")),
        ("dTpw!", None),
        ("dT pw", None),
    ],
)
def test_entries(tmp_path: Path, auth: str, expected: Any) -> None:
    environ = docker(tmp_path, {"auths": {HOST: {"auth": auth}}})
    if expected is None:
        assert refused(environ).reason == "registry-credentials"
    else:
        assert found(environ) == expected


def test_an_entry_of_another_host_below_no_host(tmp_path: Path) -> None:
    assert found(docker(tmp_path, {"auths": {"": {"username": "u"}, "team": {"username": "v"}}})) is None


@pytest.mark.parametrize(
    "config",
    [
        [],
        {"auths": []},
        {"auths": {HOST: []}},
        {"auths": {HOST: {"auth": 1}}},
        {"credHelpers": []},
        {"credHelpers": {HOST: "../x"}},
        {"credsStore": "../x"},
        {"credsStore": ["x"]},
    ],
)
def test_what_is_wrong_is_said_of_the_file(tmp_path: Path, config: Any) -> None:
    err = refused(docker(tmp_path, config))
    assert err.reason == "registry-credentials"
    assert str(tmp_path / "config.json") in str(err)
