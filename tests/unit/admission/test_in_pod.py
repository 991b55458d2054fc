"""A Pod whose model lies on a claim: mutated, admitted, and then verified by what was put into it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lamslsa._cli.main import main
from lamslsa.admission import guard
from lamslsa.admission.verifier import Options, Place, Verifier, verifier_name
from lamslsa.artifact import hash_artifact
from lamslsa.policy.inline import unpack
from lamslsa.policy.opening import open_policy
from lamslsa.testing.simulated import SimulatedVendor
from tests.cli.world import NOW
from tests.unit.admission.conftest import Place as Registered
from tests.unit.admission.pods import CLAIM, IMAGE, INITIALIZER, claimed, operations_of, patched
from tests.unit.admission.serving import Running, serving
from tests.unit.admission.test_appraiser import Counting
from tests.unit.admission.test_review import read

WEIGHTS = Place(volume="weights")
IN_POD = "admission: {elsewhere: verifyInPod}\n"


@pytest.fixture
def policy_path(place: Registered) -> Path:
    """The policy that accepts the model, and lets it lie anywhere."""
    place.policy_path.write_text(place.policy_path.read_text() + IN_POD)
    return place.policy_path


@pytest.fixture
def gate(policy_path: Path, tmp_path: Path) -> Iterator[Running]:
    with serving(Counting(), policy_path, tmp_path / "tls", verifier=Options(image=IMAGE)) as running:
        yield running


def review(spec: dict[str, Any], name: str = "pod-image-volume", **request: Any) -> dict[str, Any]:
    document = read(name)
    document["request"]["object"]["spec"] = spec
    document["request"].update(request)
    return document


def ask(gate: Running, document: dict[str, Any], path: str = "/admit") -> dict[str, Any]:
    return gate.admit(json.dumps(document).encode(), path)


def mutate(gate: Running, document: dict[str, Any]) -> dict[str, Any]:
    """The review after what the mutating webhook says."""
    operations = operations_of(ask(gate, document, "/mutate"))
    changed = patched(document["request"]["object"], operations)
    return {**document, "request": {**document["request"], "object": changed}}


def test_a_pod_is_admitted_once_it_is_mutated(gate: Running, policy_path: Path) -> None:
    document = review(claimed())
    refused = ask(gate, document)
    assert refused["allowed"] is False
    assert "admission-unguarded" in refused["status"]["message"]
    changed = mutate(gate, document)
    assert ask(gate, changed)["allowed"] is True
    assert operations_of(ask(gate, changed, "/mutate")) == []
    (verifier,) = changed["request"]["object"]["spec"]["initContainers"]
    closure = open_policy(str(policy_path)).policy.closure
    assert f"env://LAMSLSA_POLICY@sha256:{closure}" in verifier["args"]
    assert [about["object"] for about in gate.events("patched")] == ["serving/census-7d4b9c6f5-x2x9k"]
    _, numbers = gate.ask("GET", "/metrics")
    assert "lamslsa_admission_patches_total 1" in numbers


def test_the_rest_of_an_object_is_left_alone(gate: Running) -> None:
    """Names with ~ and / in them stand in no pointer."""
    document = review(claimed())
    document["request"]["object"]["metadata"]["annotations"] = {"a~1/b": "~0", "lamslsa.dev/verified": "true"}
    changed = mutate(gate, document)
    before, after = document["request"]["object"], changed["request"]["object"]
    assert {**after, "spec": None} == {**before, "spec": None}
    assert {name for name, value in after["spec"].items() if before["spec"].get(name) != value} == {
        *("volumes", "containers", "initContainers"),
    }


def test_models_by_digest_are_judged_beside(gate: Running) -> None:
    spec = claimed()
    spec["volumes"] = [CLAIM, {"name": "base", "image": {"reference": "registry.example/base:v1"}}]
    changed = mutate(gate, review(spec))
    response = ask(gate, changed)
    assert "admission-unpinned" in response["status"]["message"], "a tag can be moved, in whatever Pod"
    changed["request"]["object"]["spec"]["volumes"][1]["image"]["reference"] = "other.example/b@sha256:" + "0" * 64
    assert "admission-registry" in ask(gate, changed)["status"]["message"]
    changed["request"]["object"]["spec"]["volumes"][1]["image"]["reference"] = "registry.example/b@sha256:" + "0" * 64
    assert ask(gate, changed)["allowed"] is True


@pytest.mark.parametrize("path", ["/admit", "/mutate"])
def test_what_cannot_be_guarded_is_refused_by_both(gate: Running, path: str) -> None:
    response = ask(gate, review(claimed(shareProcessNamespace=True)), path)
    assert response["allowed"] is False
    assert "admission-reach" in response["status"]["message"]
    assert "patch" not in response
    assert gate.events("decision")[-1]["reasons"] == ["admission-reach"]


@pytest.mark.parametrize(
    ("name", "admitted"),
    [
        ("service-s3_fail", True),
        ("service-pvc_fail", True),
        ("service-hub_fail", True),
        ("service-storage_fail", True),
        ("service-gs_fail", True),
        ("service-https_fail", True),
        ("service-uris_fail", True),
        ("service-pvc-beside_fail", True),
        ("service-tag_fail", False),
        ("service-transformer-tag_fail", False),
        ("service-without-model_fail", False),
        ("service-volume-beside-model_fail", False),
        ("deployment-tag_fail", False),
        ("pod-tag_fail", False),
        ("kind-unknown_fail", False),
    ],
)
def test_what_makes_pods_is_admitted_where_the_pods_will_be_judged(gate: Running, name: str, admitted: bool) -> None:
    document = read(name)
    assert ask(gate, document)["allowed"] is admitted
    assert operations_of(ask(gate, document, "/mutate")) == []


def test_without_the_key_nothing_is_mutated_and_all_is_refused(place: Registered, tmp_path: Path) -> None:
    with serving(Counting(), place.policy_path, tmp_path / "tls", verifier=Options(image=IMAGE)) as running:
        document = review(claimed())
        assert operations_of(ask(running, document, "/mutate")) == []
        assert "admission-volume" in ask(running, document)["status"]["message"]
        assert ask(running, read("service-s3_fail"))["allowed"] is False
        place.policy_path.write_text(place.policy_path.read_text() + IN_POD)
        running.service.watch()
        assert ask(running, mutate(running, document))["allowed"] is True


@pytest.mark.parametrize("reason", ["admission-verifier", "policy-inline-size"])
def test_without_a_verifier_such_pods_are_refused(policy_path: Path, tmp_path: Path, reason: str) -> None:
    options = Options() if reason == "admission-verifier" else Options(image=IMAGE, trusted_root=os.urandom(200_000))
    with serving(Counting(), policy_path, tmp_path / "tls", verifier=options) as running:
        assert [about["reason"] for about in running.events("no-verifier")] == [reason]
        for path in ("/admit", "/mutate"):
            assert reason in ask(running, review(claimed()), path)["status"]["message"]
            assert ask(running, read("pod-image-volume"), path)["allowed"] is True


RAW = {"name": "weights", "mountPath": "/x"}


def debug(spec: dict[str, Any], *, copy: bool = False, **about: Any) -> None:
    container: dict[str, Any] = {"name": "debugger"}
    mount = {key: about.pop(key) for key in ("name", "readOnly") if key in about}
    if copy:
        mount["name"] = spec["containers"][0]["volumeMounts"][0]["name"]
    if mount:
        container["volumeMounts"] = [{**mount, "mountPath": "/x"}]
    spec["ephemeralContainers"] = [container | about]


@pytest.fixture(scope="module")
def collateral() -> bytes:
    return SimulatedVendor(NOW).collateral()


def test_collateral_goes_along_and_is_read_again(policy_path: Path, tmp_path: Path, collateral: bytes) -> None:
    """What manufacturers say of platforms is not in the Pod, and what they say changes."""
    said: list[tuple[bytes, ...]] = [(collateral,)]
    options = Options(image=IMAGE, collateral=lambda: said[0])

    def carried(gate: Running) -> tuple[bytes, ...]:
        spec = mutate(gate, review(claimed()))["request"]["object"]["spec"]
        return unpack(spec["initContainers"][0]["env"][0]["value"]).collateral

    with serving(Counting(), policy_path, tmp_path / "tls", verifier=options, watch_s=60.0) as running:
        assert carried(running) == (collateral,)
        said[0] = ()
        running.service.watch()
        assert carried(running) == ()
        running.service.watch()
        assert [about["what"] for about in running.events("taken")] == ["collateral"]


def test_collateral_in_the_line_counts(
    verifier: dict[str, Any],
    policy_path: Path,
    tmp_path: Path,
    collateral: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rubbish among it is refused, so it was looked at."""
    opened = open_policy(str(policy_path))
    (tmp_path / "volume").mkdir()
    words = words_of(verifier, policy_path.parent / "census-mlp", tmp_path / "volume")
    for held, code in (([collateral], 0), ([b"{}"], 3)):
        line = Verifier.of(opened, Options(image=IMAGE), held).policy
        monkeypatch.setenv("LAMSLSA_POLICY", line)
        assert main(words) == code


UPDATES: dict[str, tuple[bool, Any]] = {
    "a shell": (True, debug),
    "an image of the server": (True, lambda spec: spec["containers"][0].update(image="x")),
    "time to end": (True, lambda spec: spec.update(activeDeadlineSeconds=1)),
    "an image of ours": (False, lambda spec: spec["initContainers"][0].update(image="x")),
    "memory of ours": (False, lambda spec: spec["initContainers"][0]["resources"].update(limits={})),
    "a mount": (False, lambda spec: spec["containers"][0].update(volumeMounts=[{"name": "weights", "mountPath": "/"}])),
    "one server more": (False, lambda spec: spec["containers"].append({"name": "x", "volumeMounts": [RAW]})),
    "shared processes": (False, lambda spec: spec.update(shareProcessNamespace=True)),
    "a shell that reads the copy": (True, lambda spec: debug(spec, copy=True, readOnly=True)),
    "a shell that writes the copy": (False, lambda spec: debug(spec, copy=True)),
    "a shell that mounts the claim": (False, lambda spec: debug(spec, name="weights", readOnly=True)),
    "a shell with a device": (False, lambda spec: debug(spec, volumeDevices=[{"name": "weights", "devicePath": "/d"}])),
    "a shell beside the server": (True, lambda spec: debug(spec, targetContainerName="server")),
    "a shell in a verifier": (False, lambda spec: debug(spec, targetContainerName=verifier_name(WEIGHTS))),
    "a shell in what fetches": (False, lambda spec: debug(spec, targetContainerName="storage-initializer")),
    "a shell with rights": (False, lambda spec: debug(spec, securityContext={"privileged": True})),
}


@pytest.mark.parametrize("policy", ["the same", "another", "one that refuses"])
def test_updates(gate: Running, policy_path: Path, policy: str) -> None:
    """What is admitted of them does not hang on the policy that is in force by then."""
    before = mutate(gate, review(claimed()))["request"]["object"]
    if policy != "the same":
        text = policy_path.read_text()
        policy_path.write_text(text.replace(IN_POD, "") if policy == "one that refuses" else f"{text}# another\n")
        gate.service.watch()
    for what, (admitted, change) in UPDATES.items():
        document = json.loads(json.dumps(review({}, operation="UPDATE", object=before, oldObject=before)))
        change(document["request"]["object"]["spec"])
        assert ask(gate, document)["allowed"] is admitted, what
        assert operations_of(ask(gate, document, "/mutate")) == [], what


def test_a_pod_from_before_is_cleaned_up_but_gets_no_shell_to_its_model(gate: Running) -> None:
    pod = review(claimed())["request"]["object"]
    document = review({}, operation="UPDATE", object=pod, oldObject=pod)
    assert ask(gate, document)["allowed"] is True
    changed = json.loads(json.dumps(document))
    debug(changed["request"]["object"]["spec"], name="weights")
    assert ask(gate, changed)["allowed"] is False


@pytest.fixture
def verifier(policy_path: Path) -> dict[str, Any]:
    return Verifier.of(open_policy(str(policy_path)), Options(image=IMAGE)).container(Place(volume="weights"))


def words_of(container: dict[str, Any], model: Path, volume: Path) -> list[str]:
    """What the container runs, with its volumes at other places."""
    assert container["command"] == ["lamslsa"]
    places = {"/model": str(model), "/verified/model": str(volume / "model")}
    assert places.keys() <= set(container["args"])
    return [places.get(word, word) for word in container["args"]]


def variables(container: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["value"] for item in container["env"]}


def test_it_copies_the_model_that_is_accepted(verifier: dict[str, Any], tmp_path: Path, policy_path: Path) -> None:
    model, volume = policy_path.parent / "census-mlp", tmp_path / "volume"
    volume.mkdir()
    policy_path.unlink()  # what it needs to know it has with it
    words = [sys.executable, "-m", "lamslsa", *words_of(verifier, model, volume)]
    run = subprocess.run(words, env={"PATH": "", **variables(verifier)}, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert hash_artifact(volume / "model", "model") == hash_artifact(model, "model")
    assert [path.name for path in volume.iterdir()] == ["model"]
    assert sorted(path.name for path in (volume / "model").iterdir()) == ["model.json", "model.safetensors"]
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in volume.rglob("*")), "for whoever serves it"


def test_it_runs_again_when_its_node_does(
    verifier: dict[str, Any], tmp_path: Path, policy_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, volume = policy_path.parent / "census-mlp", tmp_path / "volume"
    volume.mkdir()
    for name, value in variables(verifier).items():
        monkeypatch.setenv(name, value)
    words = words_of(verifier, model, volume)
    assert main(words) == main(words) == 0
    (volume / "model" / "model.json").write_text("[]")
    assert main(words) == 3


CODES = {"altered": 4, "more": 4, "unsigned": 4, "link": 3, "another policy": 4, "no policy": 3}


@pytest.mark.parametrize("what", CODES)
def test_it_fails_and_leaves_nothing(
    verifier: dict[str, Any], tmp_path: Path, policy_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, volume = policy_path.parent / "census-mlp", tmp_path / "volume"
    volume.mkdir()
    given = variables(verifier)
    if what == "altered":
        (model / "model.safetensors").write_text("wEights")
    elif what == "more":
        (model / "backdoor.bin").write_text("x")
    elif what == "unsigned":
        (model / ".attestations").rename(model.parent / "elsewhere")
    elif what == "link":
        (model / "model.json").rename(tmp_path / "outside.json")
        (model / "model.json").symlink_to(tmp_path / "outside.json")
    elif what == "another policy":
        policy_path.write_text(policy_path.read_text().replace("min: 0.80", "min: 0.10", 1))
        given["LAMSLSA_POLICY"] = Verifier.of(open_policy(str(policy_path)), Options(image=IMAGE)).policy
    else:
        given = {}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert main(words_of(verifier, model, volume)) == CODES[what]
    assert list(volume.iterdir()) == []


def test_attestations_from_elsewhere(policy_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, volume = policy_path.parent / "census-mlp", tmp_path / "volume"
    volume.mkdir()
    (model / ".attestations").rename(tmp_path / "store")
    options = Options(image=IMAGE, attestations=str(tmp_path / "store"))
    container = Verifier.of(open_policy(str(policy_path)), options).container(Place(volume="weights"))
    monkeypatch.setenv("LAMSLSA_POLICY", variables(container)["LAMSLSA_POLICY"])
    assert main(words_of(container, model, volume)) == 0


def test_kserve_the_whole_way(gate: Running) -> None:
    """The Pod of an InferenceService as KServe makes it, with what others put beside."""
    spec: dict[str, Any] = {
        "volumes": [
            {"name": "kserve-provision-location", "emptyDir": {}},
            {"name": "kube-api-access-8x7vq", "projected": {"sources": []}},
        ],
        "initContainers": [INITIALIZER],
        "containers": [
            {
                "name": "kserve-container",
                "volumeMounts": [
                    {"name": "kserve-provision-location", "mountPath": "/mnt/models", "readOnly": True},
                    {
                        "name": "kube-api-access-8x7vq",
                        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                        "readOnly": True,
                    },
                ],
            },
            {"name": "queue-proxy"},
        ],
    }
    document = review(spec)
    assert "admission-unguarded" in ask(gate, document)["status"]["message"]
    changed = mutate(gate, document)
    assert ask(gate, changed)["allowed"] is True
    names = [item["name"] for item in changed["request"]["object"]["spec"]["initContainers"]]
    assert names == ["storage-initializer", verifier_name(Place(volume="kserve-provision-location"))]


@pytest.mark.parametrize("path", ["/admit", "/mutate"])
def test_others_are_answered_while_a_large_pod_is_looked_at(
    gate: Running, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks at one asks for the health of the gate meanwhile."""
    health: list[int] = []
    looked = guard.unverified

    def look(spec: dict[str, Any]) -> frozenset[str]:
        health.append(gate.ask("GET", "/healthz")[0])
        return looked(spec)

    monkeypatch.setattr(guard, "unverified", look)
    mounts = [{"name": "weights", "mountPath": f"/{number:080}"} for number in range(1000)]
    assert ask(gate, review(claimed(volumeMounts=mounts)), path)["allowed"] is (path == "/mutate")
    assert health == [200]
