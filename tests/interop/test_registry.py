"""The OCI store against Debian's docker-registry, over TLS and with a password."""

from __future__ import annotations

import urllib3

from tests.interop.docker_registry import DockerRegistry


def test_the_open_registry_answers_everybody(docker_registry: DockerRegistry) -> None:
    with urllib3.PoolManager() as http:
        assert http.request("GET", f"{docker_registry.url}/v2/").status == 200


def test_the_guarded_registry_answers_only_who_knows_the_password(guarded_docker_registry: DockerRegistry) -> None:
    registry = guarded_docker_registry
    password = urllib3.make_headers(basic_auth=f"{registry.user}:{registry.password}")
    with urllib3.PoolManager(ca_certs=str(registry.ca)) as http:
        assert http.request("GET", f"{registry.url}/v2/").status == 401
        assert http.request("GET", f"{registry.url}/v2/", headers=password).status == 200
