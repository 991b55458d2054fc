from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from lamslsa.errors import LamslsaError
from lamslsa.store.oci.credentials import BearerToken, IdentityToken, Password, find_credential
from lamslsa.store.oci.reference import Reference

SECRET = "correct-horse"
HOST = "registry.example"


def auth(user: str = "user", password: str = SECRET) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def docker(folder: Path, config: Any) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return {"DOCKER_CONFIG": str(folder)}


def found(environ: dict[str, str], reference: str = f"oci://{HOST}/team/model") -> Any:
    return find_credential(Reference.parse(reference), environ)


def refused(environ: dict[str, str]) -> LamslsaError:
    with pytest.raises(LamslsaError) as caught:
        found(environ)
    assert SECRET not in f"{caught.value} {caught.value.hint}"
    return caught.value


def helper(folder: Path, name: str, script: str) -> str:
    folder.mkdir(exist_ok=True)
    program = folder / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_nothing_is_looked_up_by_default() -> None:
    assert found({}) is None


def test_environment() -> None:
    names = {"LAMSLSA_REGISTRY_HOST": HOST, "LAMSLSA_REGISTRY_USERNAME": "u", "LAMSLSA_REGISTRY_PASSWORD": SECRET}
    assert found(names) == Password(username="u", password=SECRET)
    token = {"LAMSLSA_REGISTRY_HOST": HOST, "LAMSLSA_REGISTRY_TOKEN": SECRET}
    assert found(token) == BearerToken(token=SECRET)
    assert found(names, "oci://other.example/team/model") is None


def test_environment_without_a_host_is_refused() -> None:
    assert refused({"LAMSLSA_REGISTRY_TOKEN": SECRET}).reason == "registry-credentials-host"
    assert refused({"LAMSLSA_REGISTRY_PASSWORD": SECRET}).reason == "registry-credentials-host"


def test_environment_goes_before_files(tmp_path: Path) -> None:
    environ = docker(tmp_path, {"auths": {HOST: auth("file")}})
    environ |= {"LAMSLSA_REGISTRY_HOST": HOST, "LAMSLSA_REGISTRY_TOKEN": SECRET}
    assert found(environ) == BearerToken(token=SECRET)


@pytest.mark.parametrize("key", [HOST, f"https://{HOST}", f"https://{HOST}/v1/", f"http://{HOST}/v2/", f"{HOST}/"])
def test_docker_keys(tmp_path: Path, key: str) -> None:
    assert found(docker(tmp_path, {"auths": {key: auth()}})) == Password(username="user", password=SECRET)


def test_docker_hub_key(tmp_path: Path) -> None:
    environ = docker(tmp_path, {"auths": {"https://index.docker.io/v1/": auth()}})
    assert found(environ, "oci://docker.io/a/b") == Password(username="user", password=SECRET)
    assert found(environ) is None


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"identitytoken": SECRET, **auth()}, IdentityToken(token=SECRET)),
        ({"registrytoken": SECRET}, BearerToken(token=SECRET)),
        ({"username": "u", "password": SECRET}, Password(username="u", password=SECRET)),
        (auth("u", f"{SECRET}:with:colons"), Password(username="u", password=f"{SECRET}:with:colons")),
        ({}, None),
    ],
)
def test_entries(tmp_path: Path, entry: dict[str, str], expected: Any) -> None:
    assert found(docker(tmp_path, {"auths": {HOST: entry}})) == expected


def test_the_nearest_entry_counts(tmp_path: Path) -> None:
    auths = {HOST: auth("host"), f"{HOST}/team": auth("team"), f"{HOST}/team/model": auth("model")}
    environ = docker(tmp_path, {"auths": auths})
    users = [found(environ, f"oci://{HOST}/{name}").username for name in ("team/model", "team/other", "teams/model")]
    assert users == ["model", "team", "host"]


def test_containers_auth_file(tmp_path: Path) -> None:
    folder = tmp_path / "containers"
    folder.mkdir()
    (folder / "auth.json").write_text(json.dumps({"auths": {HOST: auth("podman")}}))
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert found(environ).username == "podman"
    assert found(environ | docker(tmp_path / "docker", {"auths": {HOST: auth("docker")}})).username == "docker"
    assert found({"REGISTRY_AUTH_FILE": str(folder / "auth.json")}).username == "podman"


def test_home(tmp_path: Path) -> None:
    docker(tmp_path / ".docker", {"auths": {HOST: auth()}})
    assert found({"HOME": str(tmp_path)}) == Password(username="user", password=SECRET)


@pytest.mark.parametrize(
    "config",
    [
        "{",
        f'"{SECRET}',
        "[]",
        {"auths": []},
        {"auths": {HOST: SECRET}},
        {"auths": {HOST: {"auth": SECRET}}},
        {"auths": {HOST: {"auth": base64.b64encode(SECRET.encode()).decode()}}},
        {"auths": {HOST: {"identitytoken": 1}}},
        {"credHelpers": []},
        {"credHelpers": {HOST: "../../bin/sh"}},
        {"credsStore": 1},
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, config: Any) -> None:
    assert refused(docker(tmp_path, config)).reason == "registry-credentials"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").symlink_to("config.json")
    assert refused({"DOCKER_CONFIG": str(tmp_path)}).reason == "registry-credentials-read"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    assert refused({"DOCKER_CONFIG": str(tmp_path)}).reason == "input-kind"


def test_helper_of_a_host(tmp_path: Path) -> None:
    script = f"""read host; [ "$1 $host" = "get {HOST}" ] && echo '{{"Username":"h","Secret":"{SECRET}"}}'"""
    environ = docker(tmp_path, {"credHelpers": {HOST: "own"}, "auths": {HOST: auth("file")}})
    environ["PATH"] = helper(tmp_path / "bin", "own", script)
    assert found(environ) == Password(username="h", password=SECRET)


def test_helper_of_all_hosts_and_identity_token(tmp_path: Path) -> None:
    environ = docker(tmp_path, {"credsStore": "all"})
    environ["PATH"] = helper(tmp_path / "bin", "all", f"""echo '{{"Username":"<token>","Secret":"{SECRET}"}}'""")
    assert found(environ) == IdentityToken(token=SECRET)


def test_docker_hub_has_its_own_name_for_helpers(tmp_path: Path) -> None:
    environ = docker(tmp_path, {"credsStore": "all"})
    environ["PATH"] = helper(
        tmp_path / "bin", "all", """read host; echo "{\\"Username\\":\\"$host\\",\\"Secret\\":\\"\\"}" """
    )
    assert found(environ, "oci://docker.io/a/b").username == "https://index.docker.io/v1/"


def test_helper_without_an_entry(tmp_path: Path) -> None:
    environ = docker(tmp_path, {"credsStore": "all"})
    environ["PATH"] = helper(tmp_path / "bin", "all", "echo credentials not found in native keychain; exit 1")
    assert found(environ) is None


@pytest.mark.parametrize(
    "script", ["echo no; exit 1", f"echo {SECRET}", "echo {}", 'echo \'{"Username":1,"Secret":2}\'']
)
def test_helper_that_fails(tmp_path: Path, script: str) -> None:
    environ = docker(tmp_path, {"credsStore": "all"})
    environ["PATH"] = helper(tmp_path / "bin", "all", script)
    assert refused(environ).reason == "registry-credential-helper"


def test_helper_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamslsa.store.oci.credentials._HELPER_S", 0.05)
    environ = docker(tmp_path, {"credsStore": "all"})
    environ["PATH"] = helper(tmp_path / "bin", "all", "exec sleep 60")
    assert refused(environ).reason == "registry-credential-helper"


def test_helper_that_is_missing_or_no_program(tmp_path: Path) -> None:
    environ = docker(tmp_path, {"credsStore": "none"}) | {"PATH": str(tmp_path / "bin")}
    assert refused(environ).reason == "registry-credential-helper"
    helper(tmp_path / "bin", "none", "")
    (tmp_path / "bin" / "docker-credential-none").write_bytes(b"#!/nowhere/at/all\n")
    assert refused(environ).reason == "registry-credential-helper"


def test_no_representation_shows_secrets() -> None:
    shown = repr([Password(username=SECRET, password=SECRET), IdentityToken(token=SECRET), BearerToken(token=SECRET)])
    assert SECRET not in shown
