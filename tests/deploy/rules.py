"""What has to be true of an example beside its schemas; each rule is a function that raises where it is not."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any, Final

from lamslsa.admission import gate
from lamslsa.admission.service import Settings
from lamslsa.policy.cel import worker
from tests.deploy.facts import Documents, container, host, known_kinds, pod, port, serve, webhooks
from tests.deploy.rendering import LABELS, named

OPT_IN: Final = {"key": "lamslsa.dev/admission", "operator": "In", "values": ["enforce"]}
_PYTHON_BYTES: Final = 128 << 20
_BY_DIGEST: Final = re.compile(r"[^@\s]+/[^@\s:]+@sha256:[0-9a-f]{64}")


def fails_closed(documents: Documents) -> None:
    found = webhooks(documents)
    assert any(each["kind"] == "ValidatingWebhookConfiguration" for each, _ in found)
    for each, webhook in found:
        assert webhook["failurePolicy"] == "Fail"
        assert webhook["sideEffects"] == "None"
        assert webhook["matchPolicy"] == "Equivalent"
        assert webhook["admissionReviewVersions"] == ["v1"]
        assert "matchConditions" not in webhook
        assert "objectSelector" not in webhook, "labels of objects are of those who are judged"
        assert len(each["webhooks"]) == 1


def asks_about_what_is_known(documents: Documents) -> None:
    (webhook,) = named(documents, "ValidatingWebhookConfiguration")["webhooks"]
    plurals = {(group, f"{kind.lower()}s"): (group, kind) for group, kind in known_kinds()}
    wanted = {*plurals, ("", "pods/ephemeralcontainers")}
    assert {place for rule in webhook["rules"] for place in _places(rule)} == wanted
    for rule in webhook["rules"]:
        assert sorted(rule["operations"]) == ["CREATE", "UPDATE"]
        assert rule["scope"] == "Namespaced"
        # A version that is not named is converted into one that is; with `*` its own shape would be sent.
        assert rule["apiVersions"] == (["v1beta1"] if rule["apiGroups"] == ["serving.kserve.io"] else ["v1"])


def _places(rule: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            yield group, resource


def changes_new_pods_alone(documents: Documents) -> None:
    (webhook,) = named(documents, "MutatingWebhookConfiguration")["webhooks"]
    (judging,) = named(documents, "ValidatingWebhookConfiguration")["webhooks"]
    assert webhook["reinvocationPolicy"] == "IfNeeded"
    assert [(rule["operations"], list(_places(rule))) for rule in webhook["rules"]] == [(["CREATE"], [("", "pods")])]
    assert webhook["namespaceSelector"] == judging["namespaceSelector"]


def leaves_out_what_it_needs_itself(documents: Documents) -> None:
    own = named(documents, "Deployment")["metadata"]["namespace"]
    issued = any(each["kind"] == "Certificate" for each in documents)
    wanted = {"kube-system", own, *(["cert-manager"] if issued else [])}
    for _, webhook in webhooks(documents):
        expressions = webhook["namespaceSelector"]["matchExpressions"]
        assert len(expressions) == 2
        left_out, label = expressions
        assert (left_out["key"], left_out["operator"]) == ("kubernetes.io/metadata.name", "NotIn")
        assert set(left_out["values"]) == wanted
        assert label == OPT_IN


def has_no_rights(documents: Documents) -> None:
    assert [each["kind"] for each in documents if each["apiVersion"].startswith("rbac.authorization.k8s.io")] == []
    account = named(documents, "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    spec = pod(documents)["spec"]
    assert spec["serviceAccountName"] == account["metadata"]["name"] != "default"
    assert spec["automountServiceAccountToken"] is False
    assert not any("projected" in volume for volume in spec["volumes"])


def is_restricted(documents: Documents) -> None:
    """The profile `restricted` of the Pod Security Standards, and a file system that nobody writes to."""
    space = named(documents, "Namespace")
    labels = {key: value for key, value in space["metadata"]["labels"].items() if "pod-security" in key}
    assert {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}.items() <= (
        labels.items()
    )
    spec = pod(documents)["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(spec)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(documents)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    for volume in spec["volumes"]:
        assert set(volume) - {"name"} <= {"configMap", "secret", "emptyDir"}
    assert "hostPort" not in container(documents)["ports"][0]


def mounts_what_the_arguments_name(documents: Documents) -> None:
    within = container(documents)
    args = serve(within["args"])
    assert args["port"] == port(documents)
    assert args["registries"]
    mounts = {each["name"]: each for each in within["volumeMounts"]}
    volumes = {each["name"]: each for each in pod(documents)["spec"]["volumes"]}
    assert set(mounts) == set(volumes)
    policy = volumes["policy"]["configMap"]["name"]
    assert str(args["policy"].parent) == mounts["policy"]["mountPath"]
    generated = named(documents, "ConfigMap", policy)
    assert args["policy"].name in generated["data"]
    assert generated["immutable"] is True
    assert policy != "lamslsa-admission-policy", "another policy is another name, and so a rollout"
    shown = {item["path"] for item in volumes["tls"]["secret"]["items"]}
    for file in (args["certificate"], args["key"]):
        assert str(file.parent) == mounts["tls"]["mountPath"]
        assert file.name in shown
    registry = volumes["registry"]["secret"]
    assert registry["optional"] is True
    assert registry["items"] == [{"key": ".dockerconfigjson", "path": "config.json"}]
    assert {each["name"]: each["value"] for each in within["env"]}["DOCKER_CONFIG"] == mounts["registry"]["mountPath"]
    assert [name for name, mount in mounts.items() if mount.get("readOnly") is not True] == [], "it writes no file"


def has_time_to_stop(documents: Documents) -> None:
    args = serve(container(documents)["args"])
    finishing = max(args["budget"], Settings(registries=()).grace_s)
    assert pod(documents)["spec"]["terminationGracePeriodSeconds"] >= args["drain"] + finishing + 5
    assert args["drain"] >= 10, "all nodes have to know that the Pod is leaving"


def refuses_before_others_give_up(documents: Documents) -> None:
    budget = serve(container(documents)["args"])["budget"]
    for _, webhook in webhooks(documents):
        assert gate._SHARE * webhook["timeoutSeconds"] >= budget
        assert webhook["timeoutSeconds"] <= 15, "the API server is kept waiting"


def probes_ask_the_server(documents: Documents) -> None:
    within = container(documents)
    asked = {name: within[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert {name: get["path"] for name, get in asked.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    assert all((get["scheme"], get["port"]) == ("HTTPS", "webhook") for get in asked.values())


def is_found_by_its_name(documents: Documents) -> None:
    service = named(documents, "Service")
    assert service["spec"]["selector"].items() <= pod(documents)["metadata"]["labels"].items()
    assert service["spec"]["selector"] == LABELS
    (only,) = service["spec"]["ports"]
    assert only["targetPort"] == "webhook"
    spaces = {each["metadata"]["namespace"] for each in (service, named(documents, "Deployment"))}
    assert spaces == {named(documents, "Namespace")["metadata"]["name"]}
    for _, webhook in webhooks(documents):
        asked = dict(webhook["clientConfig"]["service"])
        assert asked.pop("path") in {"/admit", "/mutate"}
        assert asked == {
            "namespace": service["metadata"]["namespace"],
            "name": service["metadata"]["name"],
            "port": only["port"],
        }
    monitors = [each for each in documents if each["kind"] == "ServiceMonitor"]
    for monitor in monitors:
        assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        (end,) = monitor["spec"]["endpoints"]
        assert (end["port"], end["scheme"], end["path"]) == (only["name"], "https", "/metrics")
        assert end["tlsConfig"]["serverName"] == host(documents)


def selects_its_own_pods(documents: Documents) -> None:
    labels = pod(documents)["metadata"]["labels"]
    spec = named(documents, "Deployment")["spec"]
    assert spec["selector"]["matchLabels"] == LABELS
    assert labels.items() >= LABELS.items()
    spread = pod(documents)["spec"]["topologySpreadConstraints"]
    assert {each["topologyKey"] for each in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert all(each["labelSelector"]["matchLabels"] == LABELS for each in spread)
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def stays_when_a_node_is_drained(documents: Documents) -> None:
    budget, replicas = (
        named(documents, "PodDisruptionBudget")["spec"],
        named(documents, "Deployment")["spec"]["replicas"],
    )
    assert replicas == 2
    assert 1 <= budget["minAvailable"] < replicas
    assert budget["selector"]["matchLabels"] == LABELS
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def lets_few_in_and_out(documents: Documents) -> None:
    policies = {each["metadata"]["name"]: each for each in documents if each["kind"] == "NetworkPolicy"}
    assert policies["deny-all"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, policy in policies.items():
        assert policy["metadata"]["namespace"] == named(documents, "Namespace")["metadata"]["name"]
        if name == "deny-all":
            continue
        assert policy["spec"]["podSelector"]["matchLabels"] == LABELS
        for rule in policy["spec"].get("ingress", []):
            assert rule["from"]
            assert rule["ports"] == [{"port": port(documents), "protocol": "TCP"}]
        for rule in policy["spec"].get("egress", []):
            assert rule["to"]
            assert {each["port"] for each in rule["ports"]} <= {53, 443}
        blocks = [
            peer["ipBlock"]["cidr"]
            for rule in (*policy["spec"].get("ingress", []), *policy["spec"].get("egress", []))
            for peer in rule.get("from", rule.get("to"))
            if "ipBlock" in peer
        ]
        assert not any(cidr.endswith("/0") for cidr in blocks)
    assert {"dns", "from-api-server", "to-registries"} < set(policies)
    assert ("from-prometheus" in policies) == any(each["kind"] == "ServiceMonitor" for each in documents)


def runs_what_a_digest_names(documents: Documents) -> None:
    image = container(documents)["image"]
    assert _BY_DIGEST.fullmatch(image), f"expected an image by digest, got {image}"
    verifier = [arg for arg in container(documents)["args"] if arg.startswith("--verifier-image")]
    changing = any(each["kind"] == "MutatingWebhookConfiguration" for each in documents)
    assert verifier == ([f"--verifier-image={image}"] if changing else [])


def is_believed(documents: Documents) -> None:
    mounted = next(each for each in pod(documents)["spec"]["volumes"] if each["name"] == "tls")["secret"]["secretName"]
    secrets = [each for each in documents if each["kind"] == "Secret"]
    for each, webhook in webhooks(documents):
        if secrets:
            (secret,) = secrets
            assert secret["metadata"]["name"] == mounted
            assert set(secret["data"]) == {"tls.crt", "tls.key", "ca.crt"}
            told = base64.b64decode(webhook["clientConfig"]["caBundle"])
            assert told == base64.b64decode(secret["data"]["ca.crt"])
        else:
            space, name = each["metadata"]["annotations"]["cert-manager.io/inject-ca-from"].split("/")
            certificate = named(documents, "Certificate", name)
            assert certificate["metadata"]["namespace"] == space
            assert certificate["spec"]["secretName"] == mounted
            assert certificate["spec"]["dnsNames"] == [host(documents)]
            issuer = named(documents, "Issuer", certificate["spec"]["issuerRef"]["name"])
            authority = named(documents, "Certificate", issuer["spec"]["ca"]["secretName"])
            assert authority["spec"]["isCA"] is True
            assert "isCA" not in certificate["spec"]


def is_bounded(documents: Documents) -> None:
    resources = container(documents)["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert set(resources["limits"]) == {"memory"}
    memory = int(resources["limits"]["memory"].removesuffix("Gi")) << 30
    workers = serve(container(documents)["args"])["workers"]
    assert memory >= workers * (worker._MEMORY_BYTES + _PYTHON_BYTES), "expressions of all workers have to fit"


EVERYWHERE: Final = (
    fails_closed,
    asks_about_what_is_known,
    leaves_out_what_it_needs_itself,
    has_no_rights,
    is_restricted,
    mounts_what_the_arguments_name,
    has_time_to_stop,
    refuses_before_others_give_up,
    probes_ask_the_server,
    is_found_by_its_name,
    selects_its_own_pods,
    stays_when_a_node_is_drained,
    lets_few_in_and_out,
    runs_what_a_digest_names,
    is_believed,
    is_bounded,
)
