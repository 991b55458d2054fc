"""The examples keep every rule, and no rule holds once what it is about is taken away."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import click
import pytest

from tests.deploy import facts, rules
from tests.deploy.rendering import KUBERNETES, Document, named, parsed, rendered

Rule = Callable[[list[Document]], None]
INSTALLED = ("static-certificates", "cert-manager")
GONE = object()
POD = "/spec/template/spec"
BOX = f"{POD}/containers/0"
HOOK = "ValidatingWebhookConfiguration"
MUTATING = "MutatingWebhookConfiguration"


def _changed(documents: list[Document], kind: str, name: str | None, path: str, value: Any) -> list[Document]:
    changed = copy.deepcopy(documents)
    at: Any = named(changed, kind, name)
    *way, last = [int(step) if step.isdigit() else step.replace("~1", "/") for step in path[1:].split("/")]
    for step in way:
        at = at[step]
    if value is GONE:
        del at[last]
    elif isinstance(at, list) and last == len(at):
        at.append(value)
    else:
        assert at.get(last) != value if isinstance(at, dict) else at[last] != value
        at[last] = value
    return changed


# Rule, example, kind, name, path, and what stands there instead.
SC, CM = INSTALLED
BROKEN: list[tuple[Rule, str, str, str | None, str, Any]] = [
    (rules.fails_closed, SC, HOOK, None, "/webhooks/0/failurePolicy", "Ignore"),
    (rules.fails_closed, SC, HOOK, None, "/webhooks/0/failurePolicy", GONE),
    (rules.fails_closed, CM, MUTATING, None, "/webhooks/0/failurePolicy", "Ignore"),
    (rules.fails_closed, SC, HOOK, None, "/webhooks/0/sideEffects", "NoneOnDryRun"),
    (rules.fails_closed, SC, HOOK, None, "/webhooks/0/matchPolicy", "Exact"),
    (rules.fails_closed, SC, HOOK, None, "/webhooks/0/objectSelector", {}),
    (rules.fails_closed, SC, HOOK, None, "/webhooks/0/matchConditions", []),
    (rules.fails_closed, SC, HOOK, None, "/webhooks/0/admissionReviewVersions", ["v1", "v1beta1"]),
    (rules.fails_closed, SC, HOOK, None, "/webhooks", []),
    (rules.asks_about_what_is_known, SC, HOOK, None, "/webhooks/0/rules/0/resources/1", GONE),
    (rules.asks_about_what_is_known, SC, HOOK, None, "/webhooks/0/rules/1/resources/3", GONE),
    (rules.asks_about_what_is_known, SC, HOOK, None, "/webhooks/0/rules/2", GONE),
    (rules.asks_about_what_is_known, SC, HOOK, None, "/webhooks/0/rules/3", GONE),
    (rules.asks_about_what_is_known, SC, HOOK, None, "/webhooks/0/rules/1/resources/4", "controllerrevisions"),
    (rules.asks_about_what_is_known, SC, HOOK, None, "/webhooks/0/rules/3/resources/1", "trainedmodels"),
    (rules.asks_about_what_is_known, SC, HOOK, None, "/webhooks/0/rules/0/operations", ["CREATE"]),
    (rules.asks_about_what_is_known, SC, HOOK, None, "/webhooks/0/rules/3/apiVersions", ["*"]),
    (rules.leaves_out_what_it_needs_itself, SC, HOOK, None, "/webhooks/0/namespaceSelector", GONE),
    (rules.leaves_out_what_it_needs_itself, SC, HOOK, None, "/webhooks/0/namespaceSelector/matchExpressions/1", GONE),
    *(
        (rules.leaves_out_what_it_needs_itself, SC, HOOK, None, f"/webhooks/0/namespaceSelector/{below}", GONE)
        for below in ("matchExpressions/0", "matchExpressions/0/values/0", "matchExpressions/0/values/1")
    ),
    (
        rules.leaves_out_what_it_needs_itself,
        CM,
        MUTATING,
        None,
        "/webhooks/0/namespaceSelector/matchExpressions/0/values/2",
        GONE,
    ),
    (rules.has_no_rights, SC, "ServiceAccount", None, "/automountServiceAccountToken", GONE),
    (rules.has_no_rights, SC, "Deployment", None, f"{POD}/automountServiceAccountToken", True),
    (rules.has_no_rights, SC, "Deployment", None, f"{POD}/serviceAccountName", "default"),
    (rules.has_no_rights, SC, "Deployment", None, f"{POD}/volumes/3", {"name": "token", "projected": {}}),
    (rules.has_no_rights, SC, "Service", None, "/apiVersion", "rbac.authorization.k8s.io/v1"),
    (rules.is_restricted, SC, "Namespace", None, "/metadata/labels/pod-security.kubernetes.io~1enforce", "baseline"),
    (rules.is_restricted, SC, "Deployment", None, f"{POD}/securityContext/runAsNonRoot", GONE),
    (rules.is_restricted, SC, "Deployment", None, f"{POD}/securityContext/seccompProfile", GONE),
    (rules.is_restricted, SC, "Deployment", None, f"{POD}/hostNetwork", True),
    (rules.is_restricted, SC, "Deployment", None, f"{POD}/volumes/3", {"name": "host", "hostPath": {"path": "/"}}),
    (rules.is_restricted, SC, "Deployment", None, f"{BOX}/securityContext/readOnlyRootFilesystem", False),
    (rules.is_restricted, SC, "Deployment", None, f"{BOX}/securityContext/capabilities", GONE),
    (rules.is_restricted, SC, "Deployment", None, f"{BOX}/securityContext/allowPrivilegeEscalation", GONE),
    *((rules.mounts_what_the_arguments_name, SC, "Deployment", None, f"{BOX}/args/{n}", GONE) for n in (2, 3, 4)),
    (rules.mounts_what_the_arguments_name, SC, "Deployment", None, f"{BOX}/args/8", GONE),
    (rules.mounts_what_the_arguments_name, SC, "Deployment", None, f"{BOX}/args/9", "--fail-open"),
    (rules.mounts_what_the_arguments_name, SC, "Deployment", None, f"{BOX}/args/5", "--port=9443"),
    (rules.mounts_what_the_arguments_name, SC, "Deployment", None, f"{BOX}/args/2", "--policy=/etc/policy.yaml"),
    (rules.mounts_what_the_arguments_name, SC, "Deployment", None, f"{BOX}/volumeMounts/0", GONE),
    (rules.mounts_what_the_arguments_name, SC, "Deployment", None, f"{BOX}/volumeMounts/0/readOnly", GONE),
    (rules.mounts_what_the_arguments_name, SC, "Deployment", None, f"{BOX}/env", []),
    (rules.mounts_what_the_arguments_name, SC, "Deployment", None, f"{POD}/volumes/0/configMap/name", "other"),
    (rules.mounts_what_the_arguments_name, SC, "Deployment", None, f"{POD}/volumes/2/secret/optional", GONE),
    (rules.mounts_what_the_arguments_name, SC, "Deployment", None, f"{POD}/volumes/1/secret/items/1", GONE),
    (rules.mounts_what_the_arguments_name, SC, "ConfigMap", None, "/immutable", GONE),
    (rules.mounts_what_the_arguments_name, SC, "ConfigMap", None, "/data/policy.yaml", GONE),
    (rules.has_time_to_stop, SC, "Deployment", None, f"{POD}/terminationGracePeriodSeconds", 15),
    (rules.has_time_to_stop, SC, "Deployment", None, f"{BOX}/args/7", "--drain=60"),
    (rules.has_time_to_stop, SC, "Deployment", None, f"{BOX}/args/7", GONE),
    (rules.refuses_before_others_give_up, SC, HOOK, None, "/webhooks/0/timeoutSeconds", 8),
    (rules.refuses_before_others_give_up, SC, HOOK, None, "/webhooks/0/timeoutSeconds", 30),
    (rules.refuses_before_others_give_up, CM, MUTATING, None, "/webhooks/0/timeoutSeconds", 5),
    (rules.refuses_before_others_give_up, SC, "Deployment", None, f"{BOX}/args/6", "--budget=20"),
    (rules.probes_ask_the_server, SC, "Deployment", None, f"{BOX}/readinessProbe", GONE),
    (rules.probes_ask_the_server, SC, "Deployment", None, f"{BOX}/livenessProbe/httpGet/path", "/readyz"),
    (rules.probes_ask_the_server, SC, "Deployment", None, f"{BOX}/startupProbe/httpGet/scheme", "HTTP"),
    (rules.is_found_by_its_name, SC, "Service", None, "/spec/selector/app.kubernetes.io~1name", "other"),
    (rules.is_found_by_its_name, SC, "Service", None, "/spec/ports/0/port", 8443),
    (rules.is_found_by_its_name, SC, "Service", None, "/metadata/namespace", "default"),
    (rules.is_found_by_its_name, SC, HOOK, None, "/webhooks/0/clientConfig/service/name", "other"),
    (rules.is_found_by_its_name, SC, HOOK, None, "/webhooks/0/clientConfig/service/path", "/"),
    (rules.is_found_by_its_name, CM, "ServiceMonitor", None, "/spec/endpoints/0/tlsConfig/serverName", "other"),
    (rules.is_found_by_its_name, CM, "ServiceMonitor", None, "/spec/selector/matchLabels/app.kubernetes.io~1name", "x"),
    (rules.selects_its_own_pods, SC, "Deployment", None, "/spec/selector/matchLabels/app.kubernetes.io~1name", "x"),
    (rules.selects_its_own_pods, SC, "Deployment", None, "/spec/template/metadata/labels/app.kubernetes.io~1name", "x"),
    (rules.selects_its_own_pods, SC, "Deployment", None, f"{POD}/topologySpreadConstraints/0", GONE),
    (rules.selects_its_own_pods, SC, "Deployment", None, "/spec/strategy/rollingUpdate/maxUnavailable", 1),
    (rules.stays_when_a_node_is_drained, SC, "Deployment", None, "/spec/replicas", 1),
    (rules.stays_when_a_node_is_drained, SC, "PodDisruptionBudget", None, "/spec/minAvailable", 2),
    (rules.stays_when_a_node_is_drained, SC, "PodDisruptionBudget", None, "/spec/minAvailable", 0),
    (rules.stays_when_a_node_is_drained, SC, "PodDisruptionBudget", None, "/spec/selector/matchLabels", {}),
    (rules.lets_few_in_and_out, SC, "NetworkPolicy", "deny-all", "/metadata/name", "other"),
    (rules.lets_few_in_and_out, SC, "NetworkPolicy", "deny-all", "/spec/policyTypes", ["Ingress"]),
    (rules.lets_few_in_and_out, SC, "NetworkPolicy", "from-api-server", "/spec/ingress/0/ports/0/port", 443),
    (rules.lets_few_in_and_out, SC, "NetworkPolicy", "from-api-server", "/spec/ingress/0/ports", GONE),
    (rules.lets_few_in_and_out, SC, "NetworkPolicy", "from-api-server", "/spec/ingress/0/from", GONE),
    (
        rules.lets_few_in_and_out,
        SC,
        "NetworkPolicy",
        "to-registries",
        "/spec/egress/0/to/0/ipBlock/cidr",
        "0.0.0.0/0",
    ),
    (rules.lets_few_in_and_out, SC, "NetworkPolicy", "dns", "/spec/podSelector/matchLabels", {}),
    (rules.lets_few_in_and_out, CM, "NetworkPolicy", "from-prometheus", "/metadata/name", "other"),
    (rules.runs_what_a_digest_names, SC, "Deployment", None, f"{BOX}/image", "registry.example/lamslsa:latest"),
    (rules.runs_what_a_digest_names, SC, "Deployment", None, f"{BOX}/image", "lamslsa"),
    (rules.runs_what_a_digest_names, CM, "Deployment", None, f"{BOX}/args/9", GONE),
    (rules.runs_what_a_digest_names, CM, "Deployment", None, f"{BOX}/image", f"r.example/other@sha256:{'1' * 64}"),
    (rules.is_believed, SC, HOOK, None, "/webhooks/0/clientConfig/caBundle", GONE),
    (rules.is_believed, SC, HOOK, None, "/webhooks/0/clientConfig/caBundle", "b3RoZXI="),
    (rules.is_believed, SC, "Secret", None, "/metadata/name", "lamslsa-admission-tls-8h5hghgfg4"),
    (rules.is_believed, CM, HOOK, None, "/metadata/annotations", GONE),
    (rules.is_believed, CM, MUTATING, None, "/metadata/annotations", GONE),
    (rules.is_believed, CM, "Certificate", "lamslsa-admission-tls", "/spec/secretName", "other"),
    (rules.is_believed, CM, "Certificate", "lamslsa-admission-tls", "/spec/dnsNames/0", "other"),
    (rules.is_believed, CM, "Certificate", "lamslsa-admission-ca", "/spec/isCA", False),
    (rules.is_bounded, SC, "Deployment", None, f"{BOX}/resources", GONE),
    (rules.is_bounded, SC, "Deployment", None, f"{BOX}/resources/limits/memory", GONE),
    (rules.is_bounded, SC, "Deployment", None, f"{BOX}/resources/limits/memory", "1Gi"),
    (rules.changes_new_pods_alone, CM, MUTATING, None, "/webhooks/0/reinvocationPolicy", GONE),
    (rules.changes_new_pods_alone, CM, MUTATING, None, "/webhooks/0/rules/0/operations", ["CREATE", "UPDATE"]),
    (rules.changes_new_pods_alone, CM, MUTATING, None, "/webhooks/0/namespaceSelector/matchExpressions/1", GONE),
]


@pytest.mark.parametrize("example", INSTALLED)
@pytest.mark.parametrize("rule", rules.EVERYWHERE, ids=lambda rule: rule.__name__)
def test_an_example_keeps_a_rule(rule: Rule, example: str) -> None:
    rule(rendered(example))


def test_what_changes_pods_changes_new_ones_alone() -> None:
    rules.changes_new_pods_alone(rendered("cert-manager"))


@pytest.mark.parametrize(
    ("rule", "example", "kind", "name", "path", "value"),
    BROKEN,
    ids=[f"{row[0].__name__}-{number}" for number, row in enumerate(BROKEN)],
)
def test_a_broken_one_does_not(rule: Rule, example: str, kind: str, name: str | None, path: str, value: Any) -> None:
    changed = _changed(rendered(example), kind, name, path, value)
    with pytest.raises((AssertionError, KeyError, click.ClickException)):
        rule(changed)


def test_every_rule_is_broken_somewhere() -> None:
    assert {row[0] for row in BROKEN} == {*rules.EVERYWHERE, rules.changes_new_pods_alone}


def test_the_base_alone_does_not_start() -> None:
    """It names neither registries nor an image, so that nobody installs an example by mistake."""
    (deployment,) = parsed((KUBERNETES / "base" / "deployment.yaml").read_text(encoding="utf-8"))
    with pytest.raises(click.MissingParameter, match="registries"):
        facts.serve(facts.container([deployment])["args"])
    with pytest.raises(AssertionError, match="by digest"):
        rules.runs_what_a_digest_names([deployment])


def test_a_stray_namespace_is_nowhere() -> None:
    for example in INSTALLED:
        spaces = {each["metadata"].get("namespace") for each in rendered(example)}
        assert spaces == {None, "lamslsa-admission"}
