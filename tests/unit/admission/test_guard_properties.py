"""Of any Pod: it is refused, or nobody in it meets a model that was not verified. Said anew, by other means."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lamslsa.admission.guard import guarded, refuse_unguarded
from lamslsa.admission.verifier import EMPTY, Place, verified_volume, verifier_name
from lamslsa.errors import LamslsaError
from tests.unit.admission.pods import VERIFIER

DISKS = ("disk", "share")
PLACES = [Place(volume="disk"), Place(volume="disk", sub_path="a"), Place(volume="scratch")]
VOLUMES = [
    {"name": "disk", "persistentVolumeClaim": {"claimName": "x"}},
    {"name": "share", "nfs": {"server": "x", "path": "/"}},
    {"name": "scratch", "emptyDir": {}},
    {"name": "settings", "configMap": {"name": "x"}},
    {"name": verified_volume(PLACES[0]), "emptyDir": {}},
    {"name": verified_volume(PLACES[1]), "hostPath": {"path": "/"}},
    {"name": EMPTY, "emptyDir": {}},
]
MOUNTS = st.fixed_dictionaries(
    {"name": st.sampled_from([volume["name"] for volume in VOLUMES]), "mountPath": st.sampled_from(["/a", "/b"])},
    optional={
        "readOnly": st.booleans(),
        "subPath": st.sampled_from(["a", "b", "model"]),
        "mountPropagation": st.sampled_from(["None", "HostToContainer"]),
    },
)
NAMES = ["server", "proxy", "other", "storage-initializer", verifier_name(PLACES[0]), verifier_name(PLACES[2])]


def containers(names: list[str]) -> st.SearchStrategy[list[dict[str, Any]]]:
    one = st.fixed_dictionaries(
        {"name": st.sampled_from(names), "volumeMounts": st.lists(MOUNTS, max_size=3)},
        optional={"restartPolicy": st.just("Always"), "image": st.just("x")},
    )
    return st.lists(one, max_size=3, unique_by=lambda item: item["name"])


PODS = st.fixed_dictionaries(
    {
        "volumes": st.lists(st.sampled_from(VOLUMES), max_size=5, unique_by=lambda item: str(item["name"])),
        "initContainers": containers([f"init-{name}" if name in NAMES[:3] else name for name in NAMES]),
        "containers": containers(NAMES[:4]),
    },
    optional={"ephemeralContainers": containers(["debugger"])},
)


def is_sound(spec: dict[str, Any]) -> bool:
    """Whether nobody but verifiers and the initializer meets a disk or what the initializer fills."""
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    init = spec.get("initContainers", [])
    filled = {
        mount["name"]
        for item in init
        if item["name"] == "storage-initializer"
        for mount in item["volumeMounts"]
        if "emptyDir" in volumes.get(mount["name"], {})
    }
    raw = {
        name for name, item in volumes.items() if {"persistentVolumeClaim", "nfs", "hostPath"} & item.keys()
    } | filled
    copies: dict[str, str] = {}
    others = [*spec["containers"], *spec.get("ephemeralContainers", [])]
    fetched = not any(item["name"] == "storage-initializer" for item in init)
    for item in [*init, *others]:
        is_init = any(item is each for each in init)
        if is_init and item["name"] == "storage-initializer":
            fetched = True
            mounted = {mount["name"] for mount in item["volumeMounts"]}
            if ("restartPolicy" in item and mounted & raw) or any(name.startswith("lamslsa-verif") for name in mounted):
                return False
            continue
        if is_init and item.get("image") == VERIFIER.options.image:
            source, copy, empty = item["volumeMounts"]
            place = Place(volume=source["name"], sub_path=source.get("subPath", ""))
            if item != VERIFIER.container(place) or copy["name"] in copies.values():
                return False
            if source["name"] in filled and not fetched:
                return False
            if any(volumes.get(name) != {"name": name, "emptyDir": {}} for name in (copy["name"], empty["name"])):
                return False
            copies[item["name"]] = copy["name"]
            continue
        for mount in item["volumeMounts"]:
            if mount["name"] in raw:
                return False
            ours = mount["name"].startswith("lamslsa-verif")
            if ours and (mount["name"] not in copies.values() or not mount["readOnly"] or mount["subPath"] != "model"):
                return False
    return True


@settings(max_examples=150, deadline=None)
@given(PODS)
def test_it_is_refused_or_sound(spec: dict[str, Any]) -> None:
    try:
        result = guarded(spec, VERIFIER)
    except LamslsaError:
        admits = False
    else:
        assert guarded(result, VERIFIER) == result
        assert {key: value for key, value in result.items() if key not in spec} in ({}, {"ephemeralContainers": []})
        refuse_unguarded(result, VERIFIER)
        admits = True
        concerned = any(volume["name"] in DISKS for volume in spec["volumes"]) or result != spec
        if concerned:
            assert is_sound(result), result
    try:
        refuse_unguarded(spec, VERIFIER)
    except LamslsaError:
        return
    assert admits
    assert is_sound(spec), spec


def test_what_is_not_sound_is_told() -> None:
    """The other means can tell: a mount of a disk, and a copy before it is made."""
    disk, copy = VOLUMES[0], VOLUMES[4]
    raw = {"name": "server", "volumeMounts": [{"name": "disk", "mountPath": "/a"}]}
    early = {
        "name": "server",
        "volumeMounts": [{"name": copy["name"], "mountPath": "/a", "subPath": "model", "readOnly": True}],
    }
    assert not is_sound({"volumes": [disk], "containers": [raw]})
    assert not is_sound({"volumes": [disk, copy], "containers": [early]})
    assert is_sound(guarded({"volumes": [disk], "containers": [raw]}, VERIFIER))
