"""What `record` does with kubectl, and what is expected of the review that comes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["BEFORE", "STEPS", "Step"]

Version = tuple[int, int]
Manifest = Callable[[Version], Any]

MODEL: Final = "registry.example/team/census@sha256:" + "3f" * 32
SERVER: Final = "registry.example/serving/server@sha256:" + "aa" * 32
PVC: Final = {"persistentVolumeClaim": {"claimName": "models"}}
HOST: Final = {"hostPath": {"path": "/srv/models"}}
FILLED: Final = (
    {"name": "settings", "configMap": {"name": "settings"}},
    {"name": "scratch", "emptyDir": {}},
    {"name": "credentials", "secret": {"secretName": "credentials"}},
    {"name": "about", "downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
)
_LABELS: Final = {"app": "census"}
_SELECTED: Final = {"selector": {"matchLabels": _LABELS}}


def _nothing(_: Version) -> Any:
    return None


@dataclass(frozen=True, kw_only=True)
class Step:
    """One call of kubectl.

    Attributes:
        name: of the vector; empty where the step only prepares the next one.
        arguments: of kubectl.
        manifest: what it reads from its standard input, by the version of the server; None for nothing.
        operation: of the review.
        resource: of the review, with the subresource behind a slash.
        models: that are judged.
        reasons: for which the review is refused whatever is said of the models.
        starts_nothing: whether it is admitted without a verdict.
        may_fail: the call ends with an error for want of a node, after the webhook was asked.
        since: the first version that does it so.
        until: the first version that no longer does.
    """

    name: str
    arguments: Sequence[str]
    operation: str
    resource: str
    manifest: Manifest = _nothing
    models: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    starts_nothing: bool = False
    may_fail: bool = False
    since: Version = (1, 0)
    until: Version = (2, 0)

    @property
    def expected(self) -> dict[str, Any]:
        """As it stands in ``expected.json``."""
        told: dict[str, Any] = {"models": list(self.models), "reasons": list(self.reasons)}
        return {**told, "startsNothing": True} if self.starts_nothing else told


def spec(*volumes: Any, image: str = SERVER, **more: Any) -> dict[str, Any]:
    """Of a Pod with these volumes, all of them mounted; one without a name is the model."""
    named = [{"name": "model", **each} for each in volumes]
    mounts = [{"name": each["name"], "mountPath": f"/mnt/{each['name']}"} for each in named]
    return {"volumes": named, "containers": [{"name": "server", "image": image, "volumeMounts": mounts}], **more}


def template(*volumes: Any, **more: Any) -> dict[str, Any]:
    """Of Pods."""
    return {"metadata": {"labels": _LABELS}, "spec": spec(*volumes, **more)}


def thing(kind: str, name: str, api: str = "v1", **members: Any) -> Manifest:
    """An object of this kind."""
    return lambda _: {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **members}


def service(name: str, uri: str) -> Manifest:
    """An InferenceService with a model at this place."""
    model = {"modelFormat": {"name": "onnx"}, "storageUri": uri}
    return thing("InferenceService", name, "serving.kserve.io/v1beta1", spec={"predictor": {"model": model}})


def cron_job(version: Version) -> Any:
    """With a model on a disk."""
    jobs = {"schedule": "0 6 * * *", "jobTemplate": {"spec": {"template": template(PVC, restartPolicy="Never")}}}
    return thing("CronJob", "nightly", "batch/v1" if version >= (1, 21) else "batch/v1beta1", spec=jobs)(version)


def ephemeral_containers(version: Version) -> Any:
    """A container to look around with, as early versions took it."""
    added = {"name": "debugger", "image": SERVER, "stdin": True}
    return thing("EphemeralContainers", "plain", ephemeralContainers=[added])(version)


def created(name: str, resource: str, manifest: Manifest, **more: Any) -> Step:
    """A step that creates."""
    arguments = ("create", "--validate=false", "-f", "-")
    return Step(name=name, arguments=arguments, operation="CREATE", resource=resource, manifest=manifest, **more)


def changed(name: str, resource: str, *arguments: str, **more: Any) -> Step:
    """A step that updates."""
    return Step(name=name, arguments=arguments, operation="UPDATE", resource=resource, **more)


def gone(name: str, resource: str, *arguments: str) -> Step:
    """A step that deletes."""
    return Step(name=name, arguments=("delete", *arguments), operation="DELETE", resource=resource, starts_nothing=True)


VOLUME: Final = ("admission-volume",)
UNPINNED: Final = ("admission-unpinned",)
KIND: Final = ("admission-kind",)
IMAGE: Final = {"image": {"reference": MODEL, "pullPolicy": "IfNotPresent"}}
TAG: Final = {"image": {"reference": "registry.example/team/census:v1"}}
_FORM: Final = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_INIT: Final = [{"name": "prepare", "image": SERVER, "command": ["true"]}]
_CLAIM: Final = {
    "metadata": {"name": "model"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}

# Before any step: the account that Pods run as, which nobody else makes here, and the kind of KServe.
BEFORE: Final[tuple[tuple[Sequence[str], Any], ...]] = (
    (("create", "serviceaccount", "default"), None),
    (
        ("create", "-f", "-"),
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "inferenceservices.serving.kserve.io"},
            "spec": {
                "group": "serving.kserve.io",
                "scope": "Namespaced",
                "names": {
                    "kind": "InferenceService",
                    "plural": "inferenceservices",
                    "singular": "inferenceservice",
                },
                "versions": [
                    {"name": "v1beta1", "served": True, "storage": True, "schema": {"openAPIV3Schema": _FORM}}
                ],
            },
        },
    ),
    (("wait", "--for=condition=established", "crd/inferenceservices.serving.kserve.io"), None),
)

STEPS: Final = (
    created("pod-plain", "pods", thing("Pod", "plain", spec=spec(*FILLED, initContainers=_INIT))),
    created("pod-image-by-tag", "pods", thing("Pod", "tagged", spec=spec(image="registry.example/serving:v1"))),
    created("pod-pvc_fail", "pods", thing("Pod", "disk", spec=spec(PVC)), reasons=VOLUME),
    created("pod-host-path_fail", "pods", thing("Pod", "host", spec=spec(HOST)), reasons=VOLUME),
    created(
        "pod-generated-name",
        "pods",
        lambda _: {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "census-"}, "spec": spec()},
    ),
    Step(
        name="pod-dry-run_fail",
        arguments=("create", "--dry-run=server", "-f", "-"),
        manifest=thing("Pod", "dry", spec=spec(PVC)),
        operation="CREATE",
        resource="pods",
        reasons=VOLUME,
    ),
    created("pod-image-volume-dropped", "pods", thing("Pod", "dropped", spec=spec(IMAGE)), until=(1, 31)),
    created(
        "pod-image-volume", "pods", thing("Pod", "model", spec=spec(IMAGE)), models=(f"oci://{MODEL}",), since=(1, 35)
    ),
    created(
        "pod-image-volume-tag_fail", "pods", thing("Pod", "moved", spec=spec(TAG)), reasons=UNPINNED, since=(1, 35)
    ),
    changed("pod-label", "pods", "label", "pod", "plain", "team=census", starts_nothing=True),
    changed("pod-disk-label", "pods", "label", "pod", "disk", "team=census", starts_nothing=True),
    changed(
        "pod-status",
        "pods/status",
        *("patch", "pod", "plain", "--subresource=status", "--type=merge", "-p", '{"status":{"message":"x"}}'),
        starts_nothing=True,
    ),
    changed(
        "pod-ephemeral-containers_fail",
        "pods/ephemeralcontainers",
        *("replace", "--raw", "/api/v1/namespaces/serving/pods/plain/ephemeralcontainers", "-f", "-"),
        manifest=ephemeral_containers,
        reasons=KIND,
        until=(1, 22),
    ),
    changed(
        "pod-ephemeral-containers",
        "pods/ephemeralcontainers",
        *("debug", "plain", f"--image={SERVER}", "--container=debugger", "--quiet"),
        starts_nothing=True,
        since=(1, 23),
    ),
    Step(
        name="pod-exec_fail",
        arguments=("exec", "plain", "--", "true"),
        operation="CONNECT",
        resource="pods/exec",
        reasons=("admission-operation",),
        may_fail=True,
    ),
    Step(
        name="pod-binding_fail",
        arguments=("create", "--raw", "/api/v1/namespaces/serving/pods/tagged/binding", "-f", "-"),
        manifest=thing("Binding", "tagged", target={"apiVersion": "v1", "kind": "Node", "name": "node"}),
        operation="CREATE",
        resource="pods/binding",
        reasons=KIND,
    ),
    gone("pod-delete", "pods", "pod", "plain", "--wait=false"),
    gone("pods-delete-all", "pods", "--raw", "/api/v1/namespaces/serving/pods?labelSelector=team"),
    created(
        "deployment", "deployments", thing("Deployment", "plain", "apps/v1", spec={**_SELECTED, "template": template()})
    ),
    created(
        "deployment-pvc_fail",
        "deployments",
        thing("Deployment", "disk", "apps/v1", spec={**_SELECTED, "template": template(PVC)}),
        reasons=VOLUME,
    ),
    changed("deployment-restart_fail", "deployments", "rollout", "restart", "deployment/disk", reasons=VOLUME),
    changed("deployment-scale_fail", "deployments/scale", "scale", "deployment/disk", "--replicas=3", reasons=KIND),
    gone("deployment-delete", "deployments", "deployment", "disk", "--cascade=foreground", "--wait=false"),
    changed(
        "deployment-going",
        "deployments",
        *("patch", "deployment", "disk", "--type=merge", "-p", '{"metadata":{"finalizers":null}}'),
        starts_nothing=True,
    ),
    created(
        "stateful-set-claims",
        "statefulsets",
        thing(
            "StatefulSet",
            "claims",
            "apps/v1",
            spec={**_SELECTED, "serviceName": "x", "template": template(), "volumeClaimTemplates": [_CLAIM]},
        ),
    ),
    created(
        "stateful-set-pvc_fail",
        "statefulsets",
        thing("StatefulSet", "disk", "apps/v1", spec={**_SELECTED, "serviceName": "x", "template": template(PVC)}),
        reasons=VOLUME,
    ),
    created(
        "daemon-set-host-path_fail",
        "daemonsets",
        thing("DaemonSet", "host", "apps/v1", spec={**_SELECTED, "template": template(HOST)}),
        reasons=VOLUME,
    ),
    created(
        "replica-set-pvc_fail",
        "replicasets",
        thing("ReplicaSet", "disk", "apps/v1", spec={**_SELECTED, "template": template(PVC)}),
        reasons=VOLUME,
    ),
    created(
        "replication-controller-pvc_fail",
        "replicationcontrollers",
        thing("ReplicationController", "disk", spec={"selector": _LABELS, "template": template(PVC)}),
        reasons=VOLUME,
    ),
    created(
        "job-pvc_fail",
        "jobs",
        thing("Job", "disk", "batch/v1", spec={"template": template(PVC, restartPolicy="Never")}),
        reasons=VOLUME,
    ),
    created("cron-job-pvc_fail", "cronjobs", cron_job, reasons=VOLUME),
    created("config-map_fail", "configmaps", thing("ConfigMap", "settings", data={"a": "b"}), reasons=KIND),
    created("service", "inferenceservices", service("census", f"oci://{MODEL}"), models=(f"oci://{MODEL}",)),
    created("service-tag_fail", "inferenceservices", service("tag", "oci://registry.example/m:v1"), reasons=UNPINNED),
    created("service-s3_fail", "inferenceservices", service("bucket", "s3://models/m"), reasons=("admission-source",)),
    Step(
        name="service-applied",
        arguments=("apply", "--server-side", "-f", "-"),
        manifest=service("applied", f"oci://{MODEL}"),
        operation="CREATE",
        resource="inferenceservices",
        models=(f"oci://{MODEL}",),
    ),
    changed(
        "service-applied-again_fail",
        "inferenceservices",
        *("apply", "--server-side", "-f", "-"),
        manifest=service("applied", "oci://registry.example/team/census:v1"),
        reasons=UNPINNED,
    ),
    gone("service-delete", "inferenceservices", "inferenceservice", "census", "--wait=false"),
)
