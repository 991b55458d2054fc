"""What the files name is what the server has: its paths, its policy, its certificate."""

from __future__ import annotations

import datetime as dt
import re
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lamslsa import _yaml
from lamslsa.admission.certificates import Certificates
from lamslsa.admission.policy_file import PolicyFile
from lamslsa.policy.lint import lint
from lamslsa.policy.opening import open_policy
from tests.deploy.facts import container, host, webhooks
from tests.deploy.rendering import KUBERNETES, ROOT, named, rendered
from tests.interop.peers import missing
from tests.unit.admission.serving import serving

EXAMPLES = ("static-certificates", "cert-manager")
NOW = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
README = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")


class _Nobody:
    def judge(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("nobody asks about a model here")


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_path_is_one_of_the_server(example: str, tmp_path: Path) -> None:
    documents = rendered(example)
    policy = KUBERNETES / "examples" / example / "policy.yaml"
    probes = [container(documents)[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")]
    with serving(_Nobody(), policy, tmp_path / "tls") as gate:  # type: ignore[arg-type]
        assert {gate.ask("GET", path)[0] for path in [*probes, "/metrics"]} == {200}
        for _, webhook in webhooks(documents):
            assert gate.ask("POST", webhook["clientConfig"]["service"]["path"], b"{}")[0] == 400
        assert gate.ask("POST", "/validate", b"{}")[0] == 400
        assert gate.ask("POST", "/other", b"{}")[0] == 404


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_policy_loads_and_lint_has_nothing_against_it(example: str) -> None:
    path = KUBERNETES / "examples" / example / "policy.yaml"
    opened = open_policy(str(path))
    found = lint(opened.policy, _yaml.loads(opened.data, source=path.name), now=NOW)
    assert [each for each in found if each.severity != "info"] == []
    (config,) = [each for each in rendered(example) if each["kind"] == "ConfigMap"]
    assert config["data"] == {"policy.yaml": path.read_text(encoding="utf-8")}
    assert not opened.files, "a file that the policy names has to be in the ConfigMap too"


def _mounted(folder: Path, generation: str, files: dict[str, bytes]) -> None:
    """Files as the kubelet mounts them: links into a folder that is changed at once."""
    (folder / generation).mkdir(parents=True)
    for name, data in files.items():
        (folder / generation / name).write_bytes(data)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..data_tmp").symlink_to(generation)
    (folder / "..data_tmp").rename(folder / "..data")


def test_a_policy_is_read_out_of_a_mounted_config_map(tmp_path: Path) -> None:
    text = (KUBERNETES / "examples" / "static-certificates" / "policy.yaml").read_bytes()
    key = (
        "-----BEGIN PUBLIC KEY-----\n"
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n"
        "6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n"
        "-----END PUBLIC KEY-----\n"
    )
    named_key, count = re.subn(rb"(\n    auditor:\n)(?:      .*\n)+", rb"\1      key: auditor.pub\n", text)
    assert count == 1
    _mounted(tmp_path, "..1", {"policy.yaml": named_key, "auditor.pub": key.encode()})
    path = tmp_path / "policy.yaml"
    held = PolicyFile(path, lambda: open_policy(str(path)), now=lambda: NOW)
    assert not held.refresh()
    before = held.current.closure
    changed = named_key.replace(b"0.84", b"0.85")
    assert changed != named_key
    _mounted(tmp_path, "..2", {"policy.yaml": changed, "auditor.pub": key.encode()})
    assert held.refresh()
    assert held.current.closure != before


def _recipe() -> str:
    (block,) = re.findall(r"\n   ```sh\n(.*?)\n   ```\n", README, re.DOTALL)
    return "\n".join(line.removeprefix("   ") for line in block.splitlines())


def _openssl(folder: Path) -> None:
    if shutil.which("openssl") is None:
        missing("openssl is not on PATH")
    folder.mkdir(exist_ok=True)
    subprocess.run(["sh", "-euc", _recipe()], cwd=folder, capture_output=True, check=True, timeout=60)


def test_the_recipe_makes_a_certificate_that_the_api_server_believes(tmp_path: Path) -> None:
    """TLS 1.3 with ca.crt as the only authority, and the name that the API server asks for."""
    _openssl(tmp_path)
    shown = Certificates(tmp_path / "tls.crt", tmp_path / "tls.key")
    trusted = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    trusted.verify_flags |= ssl.VERIFY_X509_STRICT
    name = host(rendered("static-certificates"))
    assert _handshake(shown.context, trusted, name) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError, match=r"[Hh]ostname"):
        _handshake(shown.context, trusted, "lamslsa-admission.default.svc")
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(shown.context, ssl.create_default_context(cafile=str(tmp_path / "tls.crt")), "x.example")
    ignored = (KUBERNETES / "examples" / "static-certificates" / "certificates" / ".gitignore").read_text().split()
    left = {path.name for path in tmp_path.iterdir()}
    assert {name for name in left if not any(Path(name).match(line) for line in ignored)} == set()


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str | None:
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(back, there, server_hostname=name)
    answering = server.wrap_bio(there, back, server_side=True)
    waiting = [asking, answering]
    for _ in range(10):
        for each in list(waiting):
            try:
                each.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(each)
    assert waiting == []
    return asking.version()


def test_a_certificate_is_taken_over_out_of_a_mounted_secret(tmp_path: Path) -> None:
    for number in ("1", "2"):
        _openssl(tmp_path / f"made{number}")
    files = [
        {name: (tmp_path / f"made{number}" / name).read_bytes() for name in ("tls.crt", "tls.key")} for number in (1, 2)
    ]
    mount = tmp_path / "mount"
    _mounted(mount, "..1", files[0])
    shown = Certificates(mount / "tls.crt", mount / "tls.key")
    assert not shown.refresh()
    _mounted(mount, "..2", files[1])
    assert shown.refresh()


def test_what_the_readme_names_is_there() -> None:
    names = {each["metadata"]["name"] for example in EXAMPLES for each in rendered(example)}
    assert {"lamslsa-admission", "lamslsa-admission-tls"} < names
    registry = named(rendered("cert-manager"), "Deployment")["spec"]["template"]["spec"]["volumes"][2]["secret"]
    assert f"create secret docker-registry {registry['secretName']} " in README
    for path in re.findall(r"(?:components|examples)/[a-z-]+(?:/[a-z.-]+)*", README):
        place = KUBERNETES / path
        assert place.exists() or place.name == "ca.crt", path
    folders = {f"components/{path.name}" for path in (KUBERNETES / "components").iterdir()}
    assert all(f"`{folder}`" in README for folder in folders)
