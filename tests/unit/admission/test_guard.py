"""A Pod with verifiers in it: what is put there, that nothing more changes, and every way around that is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from lamslsa.admission.guard import guarded, refuse_unguarded
from lamslsa.admission.updates import starts_nothing
from lamslsa.admission.verifier import EMPTY, Options, Place, Verifier, verified_volume, verifier_name
from lamslsa.errors import FormatError, LamslsaError, PolicyError
from tests.unit.admission.pods import CLAIM, IMAGE, INITIALIZER, SERVER, VERIFIER, claimed, fetched

WEIGHTS = Place(volume="weights")
FETCHED = Place(volume="kserve-provision-location")
RAW = {"name": "weights", "mountPath": "/models"}


def copied(place: Place, path: str) -> dict[str, Any]:
    return {"name": verified_volume(place), "mountPath": path, "subPath": "model", "readOnly": True}


def names(spec: dict[str, Any], kind: str = "initContainers") -> list[str]:
    return [item["name"] for item in spec.get(kind, [])]


def refusal(spec: dict[str, Any], verifier: Verifier = VERIFIER) -> str:
    """Why a Pod is refused, made as it should be or not."""
    reasons: set[str] = set()
    for act in (guarded, refuse_unguarded):
        with pytest.raises(LamslsaError) as caught:
            act(spec, verifier)
        assert str(caught.value).startswith("expected ")
        reasons.add(caught.value.reason)
    (reason,) = reasons
    return reason


def test_a_claim_is_replaced_by_a_verified_copy() -> None:
    spec = claimed()
    result = guarded(spec, VERIFIER)
    assert spec == claimed(), "what was given stays as it is"
    assert result["volumes"] == [
        CLAIM,
        {"name": verified_volume(WEIGHTS), "emptyDir": {}},
        {"name": EMPTY, "emptyDir": {}},
    ]
    (server,) = result["containers"]
    assert server == {**SERVER, "volumeMounts": [copied(WEIGHTS, "/models")]}
    (verifier,) = result["initContainers"]
    assert verifier == {
        "name": verifier_name(WEIGHTS),
        "image": IMAGE,
        "command": ["lamslsa"],
        "args": [
            *("verify", "/model", "--policy", "env://LAMSLSA_POLICY@sha256:" + "c1" * 32),
            *("--materialize", "/verified/model"),
        ],
        "env": [{"name": "LAMSLSA_POLICY", "value": "cG9saWN5"}],
        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}},
        "volumeMounts": [
            {"name": "weights", "mountPath": "/model", "readOnly": True},
            {"name": verified_volume(WEIGHTS), "mountPath": "/verified"},
            {"name": EMPTY, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True},
        ],
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsGroup": 65532,
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"containers": []},
        {"volumes": None, "containers": [{"name": "a", "volumeMounts": None}], "initContainers": None},
        claimed(volumes=[{"name": "weights", "emptyDir": {}}]),
        claimed(volumes=[{"name": "weights", "image": {"reference": "x@sha256:" + "0" * 64}}]),
        claimed(volumes=[{"name": "weights", "configMap": {"name": "x"}}], hostPID=True, shareProcessNamespace=True),
        claimed(volumes=[CLAIM], volumeMounts=[]),
    ],
)
def test_what_needs_no_verifier_stays_as_it_is(spec: dict[str, Any]) -> None:
    result = guarded(spec, VERIFIER)
    assert {key: value for key, value in result.items() if key != "initContainers"} == {
        key: value for key, value in spec.items() if key != "initContainers"
    }
    assert not result.get("initContainers")
    refuse_unguarded(spec, VERIFIER)


@pytest.mark.parametrize(
    "source",
    [
        {"persistentVolumeClaim": {"claimName": "x"}},
        {"hostPath": {"path": "/srv"}},
        {"nfs": {"server": "x", "path": "/"}},
        {"csi": {"driver": "x"}},
        {"ephemeral": {}},
        {"awsElasticBlockStore": {}},
        {"not yet invented": {}},
        {"emptyDir": {}, "nfs": {"server": "x", "path": "/"}},
        {"image": {"reference": "x"}, "nfs": {"server": "x", "path": "/"}},
    ],
)
def test_every_kind_without_a_digest(source: dict[str, Any]) -> None:
    spec = claimed(volumes=[{"name": "weights", **source}])
    result = guarded(spec, VERIFIER)
    assert names(result) == [verifier_name(WEIGHTS)]
    with pytest.raises(LamslsaError) as caught:
        refuse_unguarded(spec, VERIFIER)
    assert caught.value.reason == "admission-unguarded"
    refuse_unguarded(result, VERIFIER)


def test_what_kserve_fetches_is_verified_right_after() -> None:
    spec = fetched()
    spec["initContainers"] = [{"name": "before"}, *spec["initContainers"], {"name": "after"}]
    result = guarded(spec, VERIFIER)
    assert names(result) == ["before", "storage-initializer", verifier_name(FETCHED), "after"]
    assert result["initContainers"][1] == INITIALIZER
    assert result["containers"][0]["volumeMounts"] == [copied(FETCHED, "/mnt/models")]
    refuse_unguarded(result, VERIFIER)


def test_the_initializer_sees_what_is_not_verified_and_whatever_it_writes_is_verified() -> None:
    spec = fetched()
    spec["volumes"] += [CLAIM, {"name": "scratch", "emptyDir": {}}]
    spec["initContainers"][0]["volumeMounts"] += [RAW, {"name": "scratch", "mountPath": "/tmp"}]
    spec["containers"].append({"name": "other", "volumeMounts": [{"name": "scratch", "mountPath": "/x"}]})
    result = guarded(spec, VERIFIER)
    assert result["initContainers"][0] == spec["initContainers"][0]
    scratch = Place(volume="scratch")
    assert set(names(result)) == {"storage-initializer", verifier_name(FETCHED), verifier_name(scratch)}
    assert result["containers"][1]["volumeMounts"] == [copied(scratch, "/x")]


def test_verifiers_of_volumes_come_first_of_all() -> None:
    spec = fetched(volumes=[CLAIM, {"name": "kserve-provision-location", "emptyDir": {}}])
    spec["initContainers"] = [{"name": "first", "volumeMounts": [RAW]}, *spec["initContainers"]]
    spec["initContainers"].append({"name": "beside", "restartPolicy": "Always", "volumeMounts": [RAW]})
    result = guarded(spec, VERIFIER)
    assert names(result) == [
        *(verifier_name(WEIGHTS), "first", "storage-initializer", verifier_name(FETCHED), "beside"),
    ]
    mounts = [item["volumeMounts"] for item in result["initContainers"] if item["name"] in {"first", "beside"}]
    assert mounts == [[copied(WEIGHTS, "/models")]] * 2


def test_two_folders_of_one_claim_are_two_models() -> None:
    """KServe mounts the path of pvc://NAME/PATH by subPath."""
    one, other = Place(volume="weights", sub_path="one"), Place(volume="weights", sub_path="other")
    mounts = [{**RAW, "subPath": "one"}, {**RAW, "mountPath": "/y", "subPath": "other"}]
    result = guarded(claimed(volumeMounts=mounts), VERIFIER)
    assert set(names(result)) == {verifier_name(one), verifier_name(other)}
    assert result["containers"][0]["volumeMounts"] == [copied(one, "/models"), copied(other, "/y")]
    read = {item["name"]: item["volumeMounts"][0] for item in result["initContainers"]}
    assert read[verifier_name(one)] == {"name": "weights", "mountPath": "/model", "readOnly": True, "subPath": "one"}
    refuse_unguarded(result, VERIFIER)


def test_two_volumes_of_one_claim_are_verified_each() -> None:
    spec = claimed(volumes=[CLAIM, {**CLAIM, "name": "again"}])
    spec["containers"].append({"name": "other", "volumeMounts": [{"name": "again", "mountPath": "/x"}]})
    assert len(names(guarded(spec, VERIFIER))) == 2


def test_a_mount_that_asks_for_more_gets_the_copy_only() -> None:
    mounts = [{**RAW, "readOnly": False, "mountPropagation": "HostToContainer", "recursiveReadOnly": "Disabled"}]
    assert guarded(claimed(volumeMounts=mounts), VERIFIER)["containers"][0]["volumeMounts"] == [
        copied(WEIGHTS, "/models")
    ]


def test_no_account_no_network_of_the_user_in_it() -> None:
    """What a Pod sets for all of its containers, ours sets by itself."""
    result = guarded(claimed(securityContext={"runAsUser": 0, "seccompProfile": {"type": "Unconfined"}}), VERIFIER)
    context = result["initContainers"][0]["securityContext"]
    assert (context["runAsUser"], context["seccompProfile"]) == (65532, {"type": "RuntimeDefault"})


def test_options_of_the_operator() -> None:
    options = Options(image=IMAGE, memory="4Gi", cpu="500m", attestations="oci://registry.example/team/attestations")
    (verifier,) = guarded(claimed(), Verifier(options=options, policy="x", closure="c1" * 32))["initContainers"]
    assert verifier["resources"]["limits"] == {"cpu": "500m", "memory": "4Gi"}
    assert verifier["args"][-2:] == ["--attestations", "oci://registry.example/team/attestations"]


@pytest.mark.parametrize(
    "options",
    [
        {"image": "registry.example/lamslsa:1"},
        {"image": "lamslsa@sha256:" + "5e" * 32},
        {"image": "oci://" + IMAGE},
        {"image": "s3://x"},
        {"memory": "a lot"},
        {"memory": ""},
        {"cpu": "-1"},
        {"attestations": "oci://registry.example/$(HOME)"},
        {"attestations": "a b"},
    ],
)
def test_options_that_are_none(options: dict[str, Any]) -> None:
    with pytest.raises(FormatError) as caught:
        Options(**options)
    assert caught.value.reason == "admission-verifier-option"


@pytest.mark.parametrize("spec", [claimed(), fetched()])
def test_making_it_again_changes_nothing(spec: dict[str, Any]) -> None:
    once = guarded(spec, VERIFIER)
    assert guarded(once, VERIFIER) == once


def test_what_other_webhooks_add_later_is_put_right_in_a_second_call() -> None:
    once = guarded(claimed(), VERIFIER)
    once["initContainers"].insert(0, {"name": "theirs", "volumeMounts": [RAW]})
    once["volumes"].insert(0, {"name": "another", "nfs": {"server": "x", "path": "/"}})
    once["containers"].append({"name": "proxy", "volumeMounts": [{"name": "another", "mountPath": "/n"}]})
    once["containers"][0]["volumeMounts"].append(RAW)  # as KServe does
    with pytest.raises(LamslsaError):
        refuse_unguarded(once, VERIFIER)
    twice = guarded(once, VERIFIER)
    assert sorted(names(twice)[:2]) == sorted([verifier_name(WEIGHTS), verifier_name(Place(volume="another"))])
    assert twice["containers"][0]["volumeMounts"] == [copied(WEIGHTS, "/models")]
    refuse_unguarded(twice, VERIFIER)


def defaulted(container: dict[str, Any]) -> None:
    """What an API server adds by itself."""
    container["imagePullPolicy"] = "Always"
    container["resizePolicy"] = [
        {"resourceName": "cpu", "restartPolicy": "NotRequired"},
        {"resourceName": "memory", "restartPolicy": "NotRequired"},
    ]
    container["securityContext"]["procMount"] = "Default"
    container["resources"]["limits"]["ephemeral-storage"] = "10Gi"
    container["resources"]["requests"]["ephemeral-storage"] = "10Gi"


def test_defaults_of_the_api_server_stay() -> None:
    spec = guarded(claimed(), VERIFIER)
    defaulted(spec["initContainers"][0])
    assert guarded(spec, VERIFIER) == spec
    refuse_unguarded(spec, VERIFIER)


def edit(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def edited(spec: dict[str, Any]) -> None:
        *above, last = path.split(".")
        holder: Any = spec["initContainers"][0]
        for name in above:
            holder = holder[int(name) if name.isdigit() else name]
        if value is None:
            del holder[int(last) if last.isdigit() else last]
        else:
            holder[int(last) if last.isdigit() else last] = value

    return edited


def moved(spec: dict[str, Any]) -> None:
    spec["initContainers"].append(spec["initContainers"].pop(0))


def without(kind: str, at: int) -> Callable[[dict[str, Any]], None]:
    return lambda spec: spec[kind].pop(at)


TAMPERED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no verifier": without("initContainers", 0),
    "last instead of first": moved,
    "another image": edit("image", "registry.example/yes@sha256:" + "00" * 32),
    "another command": edit("command", ["true"]),
    "other arguments": edit("args", ["verify", "--help"]),
    "one argument more": edit("args", [*VERIFIER.container(WEIGHTS)["args"], "--at", "2026-01-01T00:00:00Z"]),
    "another policy": edit("env.0.value", "b3RoZXI="),
    "one variable more": edit("env", [*VERIFIER.container(WEIGHTS)["env"], {"name": "PYTHONPATH", "value": "/model"}]),
    "variables from elsewhere": edit("envFrom", [{"configMapRef": {"name": "x"}}]),
    "a hook": edit("lifecycle", {"postStart": {"exec": {"command": ["true"]}}}),
    "a working directory": edit("workingDir", "/model"),
    "going on": edit("restartPolicy", "Always"),
    "a rule for restarts": edit("restartPolicyRules", [{"action": "Restart"}]),
    "privileged in part": edit("securityContext.allowPrivilegeEscalation", True),
    "root": edit("securityContext.runAsUser", 0),
    "a root to write to": edit("securityContext.readOnlyRootFilesystem", False),
    "no profile": edit("securityContext.seccompProfile", None),
    "capabilities": edit("securityContext.capabilities", {"drop": ["ALL"], "add": ["CHOWN"]}),
    "a model to write to": edit("volumeMounts.0.readOnly", None),
    "a model in another folder": edit("volumeMounts.0.subPath", "good"),
    "another volume": edit("volumeMounts.0.name", "settings"),
    "an account": edit("volumeMounts.2", None),
    "one mount more": edit("volumeMounts.2", {"name": "settings", "mountPath": "/root"}),
    "no limit": edit("resources.limits", {}),
    "a claim to devices": edit("resources.claims", [{"name": "x"}]),
    "another way to resize": edit("resizePolicy", [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]),
    "never pulled": edit("imagePullPolicy", "Never"),
    "no copy": without("volumes", 2),
    "a copy on a disk": lambda spec: spec["volumes"][2].update(emptyDir={"medium": "Memory"}),
    "the model as it lies there": lambda spec: spec["containers"][0].update(volumeMounts=[RAW]),
    "a copy to write to": lambda spec: spec["containers"][0]["volumeMounts"][0].update(readOnly=False),
    "a copy in part": lambda spec: spec["containers"][0]["volumeMounts"][0].update(subPath="other"),
    "all of its volume": lambda spec: spec["containers"][0]["volumeMounts"][0].pop("subPath"),
    "a second server": lambda spec: spec["containers"].append({"name": "b", "volumeMounts": [RAW]}),
    "somebody who debugs": lambda spec: spec.update(ephemeralContainers=[{"name": "b", "volumeMounts": [RAW]}]),
    "an init container": lambda spec: spec["initContainers"].append({"name": "b", "volumeMounts": [RAW]}),
    "one more of ours": lambda spec: spec["initContainers"].append({"name": "lamslsa-verify-0", "command": ["sh"]}),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_whatever_is_taken_away_or_changed_is_refused(what: str) -> None:
    """And a second call of the mutating webhook puts it right, or refuses it as well."""
    settings = {"name": "settings", "configMap": {"name": "x"}}
    good = guarded(claimed(volumes=[CLAIM, settings], initContainers=[{"name": "other"}]), VERIFIER)
    refuse_unguarded(good, VERIFIER)
    spec = copy.deepcopy(good)
    TAMPERED[what](spec)
    assert spec != good
    with pytest.raises(LamslsaError) as caught:
        refuse_unguarded(spec, VERIFIER)
    assert caught.value.reason.startswith("admission-")
    if caught.value.reason == "admission-unguarded":
        refuse_unguarded(guarded(spec, VERIFIER), VERIFIER)


def test_a_verifier_under_another_policy_is_none() -> None:
    other = Verifier(options=VERIFIER.options, policy="b3RoZXI=", closure="d2" * 32)
    with pytest.raises(LamslsaError) as caught:
        refuse_unguarded(guarded(claimed(), VERIFIER), other)
    assert caught.value.reason == "admission-unguarded"
    assert guarded(guarded(claimed(), VERIFIER), other) == guarded(claimed(), other)


CONTEXT: dict[str, dict[str, Any]] = {
    "privileged": {"privileged": True},
    "added": {"capabilities": {"add": ["SYS_ADMIN"]}},
    "added by another name": {"capabilities": {"add": ["CAP_SYS_PTRACE"]}},
    "added of another kind": {"capabilities": {"add": [["CHOWN"]]}},
    "no list": {"capabilities": {"add": "ALL"}},
    "unmasked": {"procMount": "Unmasked"},
    "of the host": {"windowsOptions": {"hostProcess": True}},
}


@pytest.mark.parametrize("kind", ["containers", "initContainers", "ephemeralContainers"])
@pytest.mark.parametrize("what", CONTEXT)
def test_no_container_has_rights_over_others(kind: str, what: str) -> None:
    spec = claimed()
    spec[kind] = [*spec.get(kind, []), {"name": "strong", "securityContext": CONTEXT[what]}]
    assert refusal(spec) == "admission-reach"


@pytest.mark.parametrize(
    "changes",
    [
        {"shareProcessNamespace": True},
        {"hostPID": True},
        {"os": {"name": "windows"}},
        {"securityContext": {"windowsOptions": {"hostProcess": True}}},
    ],
)
def test_no_pod_lets_containers_reach_each_other(changes: dict[str, Any]) -> None:
    assert refusal(claimed(**changes)) == "admission-reach"


def test_rights_that_reach_nobody_are_none_of_ours() -> None:
    spec = claimed(shareProcessNamespace=False, os={"name": "linux"}, hostPID=None)
    spec["initContainers"] = [{"name": "istio-init", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}]
    refuse_unguarded(guarded(spec, VERIFIER), VERIFIER)


@pytest.mark.parametrize(
    "mount",
    [
        {**RAW, "subPathExpr": "$(WHICH)"},
        {**RAW, "mountPropagation": "Bidirectional"},
        {"name": "lamslsa-verified-0", "mountPath": "/models"},
        {"name": verified_volume(WEIGHTS), "mountPath": "/models"},
        {"name": EMPTY, "mountPath": "/models"},
    ],
)
def test_mounts_that_no_copy_can_replace(mount: dict[str, Any]) -> None:
    assert refusal(claimed(volumeMounts=[mount])) == "admission-mount"


def test_a_copy_of_ours_is_mounted_by_who_mounts_its_volume() -> None:
    """Who names a verifier by its right name, and lies in the rest of it, gets the right one."""
    lie = {"name": verifier_name(WEIGHTS), "command": ["cp"], "volumeMounts": [RAW]}
    spec = claimed(volumeMounts=[{"name": verified_volume(WEIGHTS), "mountPath": "/models"}], initContainers=[lie])
    assert guarded(spec, VERIFIER) == guarded(claimed(), VERIFIER)


@pytest.mark.parametrize("name", ["weights", verified_volume(WEIGHTS)])
@pytest.mark.parametrize("kind", ["containers", "initContainers"])
def test_no_device(name: str, kind: str) -> None:
    spec = claimed()
    spec[kind] = [*spec.get(kind, []), {"name": "d", "volumeDevices": [{"name": name, "devicePath": "/dev/x"}]}]
    assert refusal(spec) == "admission-mount"


def test_the_initializer_gets_no_copy() -> None:
    spec = fetched()
    spec["initContainers"][0]["volumeMounts"].append({"name": verified_volume(FETCHED), "mountPath": "/v"})
    assert refusal(spec) == "admission-mount"


@pytest.mark.parametrize("kind", ["containers", "ephemeralContainers"])
def test_only_an_init_container_is_the_initializer(kind: str) -> None:
    """A server of that name would serve what nobody has verified."""
    spec = claimed(**{kind: [{**SERVER, "name": "storage-initializer"}]})
    result = guarded(spec, VERIFIER)
    assert result[kind][0]["volumeMounts"] == [copied(WEIGHTS, "/models")]
    with pytest.raises(LamslsaError) as caught:
        refuse_unguarded(spec, VERIFIER)
    assert caught.value.reason == "admission-unguarded"


def test_the_initializer_ends() -> None:
    spec = fetched()
    spec["initContainers"][0]["restartPolicy"] = "Always"
    assert refusal(spec) == "admission-order"


@pytest.mark.parametrize("restart", [{}, {"restartPolicy": "Always"}])
def test_nobody_waits_for_the_copy_before_it_is_made(restart: dict[str, str]) -> None:
    """A container that starts before the model is fetched, and shares its volume."""
    spec = fetched()
    mount = {"name": "kserve-provision-location", "mountPath": "/x"}
    spec["initContainers"].insert(0, {"name": "early", "volumeMounts": [mount], **restart})
    assert refusal(spec) == "admission-order"


@pytest.mark.parametrize(
    "changes",
    [
        {"volumes": [CLAIM, CLAIM]},
        {"volumes": [CLAIM, {"name": "weights", "emptyDir": {}}]},
        {"volumes": [CLAIM, {"name": "a/b~c", "emptyDir": {}}]},
        {"volumes": [CLAIM, {"emptyDir": {}}]},
        {"containers": [SERVER, SERVER]},
        {"containers": [SERVER, {"name": "lamslsa-verify-0"}]},
        {"containers": [SERVER], "initContainers": [{"name": "server"}]},
        {"containers": [SERVER], "ephemeralContainers": [{"name": "lamslsa-verified-0"}]},
        {"containers": [{**SERVER, "name": "Server"}]},
    ],
)
def test_names_that_do_not_tell_things_apart(changes: dict[str, Any]) -> None:
    assert refusal(claimed(**changes)) == "admission-name"


def test_a_name_may_look_like_ours() -> None:
    spec = claimed(volumes=[CLAIM, {"name": "lamslsa-logs", "emptyDir": {}}])
    refuse_unguarded(guarded(spec, VERIFIER), VERIFIER)


def test_sixty_volumes() -> None:
    volumes = [{"name": f"v{number}", "nfs": {"server": "x", "path": "/"}} for number in range(60)]
    mounts = [{"name": f"v{number}", "mountPath": f"/{number}"} for number in range(60)]
    assert refusal(claimed(volumes=volumes, volumeMounts=mounts)) == "admission-models"
    spec = claimed(volumes=volumes, volumeMounts=mounts[:8])
    refuse_unguarded(guarded(spec, VERIFIER), VERIFIER)


@pytest.mark.parametrize(
    "changes",
    [
        {"volumes": "x"},
        {"volumes": [7]},
        {"containers": {}},
        {"initContainers": ["x"]},
        {"volumeMounts": "x"},
        {"volumeMounts": [{**RAW, "subPath": 7}]},
        {"volumeMounts": [{"name": ["weights"], "mountPath": "/x"}]},
        {"volumeDevices": [7]},
        {"securityContext": "x"},
        {"os": "linux"},
        {"containers": [{**SERVER, "securityContext": []}]},
        {"volumeMounts": [{**RAW, "subPath": "x" * 1025}]},
    ],
)
def test_what_is_of_another_shape(changes: dict[str, Any]) -> None:
    assert refusal(claimed(**changes)) == "admission-shape"


@pytest.mark.parametrize("target", [verifier_name(WEIGHTS), verifier_name(FETCHED), "storage-initializer"])
def test_nobody_joins_the_processes_of_who_meets_what_is_not_verified(target: str) -> None:
    debugger = {"name": "debugger", "targetContainerName": target}
    assert refusal(claimed(ephemeralContainers=[debugger])) == "admission-reach"
    refuse_unguarded(
        guarded(claimed(ephemeralContainers=[{**debugger, "targetContainerName": "server"}]), VERIFIER), VERIFIER
    )


class Counted(str):
    """A text that counts how often texts are compared with it."""

    __slots__ = ()
    times = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Counted.times += 1
        return str.__eq__(self, other)


def test_a_thousand_mounts_are_not_compared_with_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counted, "times", 0)
    mounts = [{"name": "weights", "mountPath": Counted(f"/{number}")} for number in range(1000)]
    assert len(guarded(claimed(volumeMounts=mounts), VERIFIER)["containers"][0]["volumeMounts"]) == 1000
    assert Counted.times < 10_000


def test_a_thousand_shells_are_not_compared_with_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counted, "times", 0)

    def with_shells(image: str) -> dict[str, Any]:
        shells = [{"name": Counted(f"debugger-{number}"), "image": image} for number in range(1000)]
        return claimed(ephemeralContainers=shells)

    assert starts_nothing(with_shells("a"), with_shells("b"))
    assert Counted.times < 20_000


def test_what_kserve_fetches_by_another_name_is_refused() -> None:
    """A ClusterStorageContainer may name its container as it likes."""
    spec = fetched()
    spec["initContainers"][0]["name"] = "kit-storage-initializer"
    assert refusal(spec) == "admission-order"
    spec["initContainers"][0]["restartPolicy"] = "Always"
    assert guarded(spec, VERIFIER) == spec, "it brings an image, which is judged by its digest"


@pytest.mark.parametrize("name", ["imagePullPolicy", "resizePolicy", "resources", "securityContext", "restartPolicy"])
@pytest.mark.parametrize("value", [{}, ["x"], {"x": []}, [{}], 7, True])
def test_no_member_of_ours_is_of_another_type(name: str, value: object) -> None:
    spec = guarded(claimed(), VERIFIER)
    spec["initContainers"][0][name] = value
    with pytest.raises(LamslsaError):
        refuse_unguarded(spec, VERIFIER)


def test_what_differs_is_named() -> None:
    def said(change: Callable[[dict[str, Any]], object], spec: dict[str, Any] | None = None) -> str:
        spec = spec or guarded(claimed(), VERIFIER)
        change(spec)
        with pytest.raises(PolicyError) as caught:
            refuse_unguarded(spec, VERIFIER)
        return str(caught.value).partition("first, got ")[2]

    name = verifier_name(WEIGHTS)
    assert said(lambda spec: spec.update(), claimed()) == f'in spec.initContainers no "{name}"'
    assert (
        said(lambda spec: spec["initContainers"][0].update(command=["true"]))
        == f'in spec.initContainers "{name}" with other "command"'
    )
    assert (
        said(lambda spec: spec["initContainers"].insert(0, {"name": "first"}))
        == "in spec.initContainers another order, or more than that"
    )
    assert said(lambda spec: spec["volumes"].pop()) == f'in spec.volumes no "{EMPTY}"'
