"""The Rego of the ConstraintTemplate, run: a model is accepted by a value of the Provider and by nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
import regopy
from kubernetes_validate import utils

from lamslsa.admission import provider
from lamslsa.admission.references import pinned, pod_models, service_models
from lamslsa.errors import LamslsaError
from tests.deploy.facts import host, serve
from tests.deploy.rendering import KUBERNETES, ROOT, Document, named, parsed, rendered
from tests.deploy.rules import OPT_IN

FOLDER = KUBERNETES / "components" / "gatekeeper"
MODEL = f"registry.example/team/census@sha256:{'1' * 64}"
OTHER = f"registry.example/team/other@sha256:{'2' * 64}"
POLICY = f"sha256:{'3' * 64}"
VECTORS = ROOT / "tests" / "vectors" / "admission"
SERVICES = sorted(path.name for path in VECTORS.glob("service*"))


def _read(name: str) -> Document:
    (document,) = parsed((FOLDER / name).read_text(encoding="utf-8"))
    return document


def _asked(query: str, spec: dict[str, Any], answer: Any, *, kind: str) -> list[str]:
    """The members of a set of the template, where Gatekeeper's function answers so; None for no answer at all."""
    (target,) = _read("template.yaml")["spec"]["targets"]
    assert target["rego"].count("external_data(") == 1
    told = "told(request) = answer { request.provider == data.told.provider; answer := data.told.answer }"
    run = regopy.Interpreter()
    run.add_module("template", f"{target['rego'].replace('external_data(', 'told(')}\n{told}\n")
    run.add_data({"told": {"provider": _read("provider.yaml")["metadata"]["name"], "answer": answer} if answer else {}})
    run.set_input({"review": {"kind": {"kind": kind}, "object": {"spec": spec}}})
    found = json.loads(str(run.query(f"data.lamslsamodels.{query}")))["expressions"][0]
    return [key for each in ([found] if isinstance(found, dict) else found) for key in each]


def _violations(spec: dict[str, Any], answer: Any, *, kind: str = "Pod") -> list[str]:
    return sorted(json.loads(each)["msg"] for each in _asked("violation", spec, answer, kind=kind))


def _answered(keys: list[str], refused: dict[str, str]) -> dict[str, Any]:
    """The server's answer to keys as Gatekeeper hands it on."""
    asked = {"kind": "ProviderRequest", "apiVersion": "externaldata.gatekeeper.sh/v1beta1", "request": {"keys": keys}}
    request = provider.parse(json.dumps(asked).encode())
    response = provider.answer(request, refused, policy=POLICY)["response"]
    return {
        "responses": [[item["key"], item["value"]] for item in response["items"] if "value" in item],
        "errors": [[item["key"], item["error"]] for item in response["items"] if "error" in item],
        "status_code": 200,
        "system_error": response["systemError"],
    }


def _pod(*references: str) -> dict[str, Any]:
    volumes = [{"name": f"v{number}", "image": {"reference": each}} for number, each in enumerate(references)]
    return {"volumes": [*volumes, {"name": "tmp", "emptyDir": {}}]}


def test_what_the_provider_accepts_is_no_violation() -> None:
    assert _violations(_pod(MODEL, OTHER), _answered([MODEL, OTHER], {})) == []
    assert _violations({"containers": []}, None) == []
    service = {"predictor": {"model": {"storageUri": f"oci://{MODEL}"}}}
    assert _violations(service, _answered([f"oci://{MODEL}"], {}), kind="InferenceService") == []


def test_what_it_refuses_is_one_and_says_why() -> None:
    found = _violations(_pod(MODEL, OTHER), _answered([MODEL, OTHER], {OTHER: "no attestation"}))
    assert found == [f"{OTHER}: no attestation"]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"responses": [], "errors": [], "status_code": 200, "system_error": ""},
        {"responses": [[OTHER, {"policy": POLICY}]], "errors": [], "status_code": 200, "system_error": ""},
        {"responses": [[MODEL, ""]], "errors": [], "status_code": 200, "system_error": ""},
        {"responses": [[MODEL, {"policy": POLICY}]], "errors": [], "status_code": 200, "system_error": "timeout"},
        {"responses": [[MODEL, {"policy": POLICY}]], "errors": [], "status_code": 500, "system_error": ""},
        {"responses": [[MODEL, {"policy": POLICY}]], "errors": []},
    ],
)
def test_whatever_is_no_acceptance_is_one(answer: Any) -> None:
    assert _violations(_pod(MODEL), answer) == [f"{MODEL}: expected a verdict, got none"]


def test_volumes_are_told_apart_as_the_server_does() -> None:
    """Every kind of volume that Kubernetes has, and one that it may have one day."""
    version = utils.latest_version()
    kinds = utils.schema_contents(f"kubernetes-json-schema/v{version}-local-strict/_definitions.json", version)["$defs"]
    sources = {*kinds["io.k8s.api.core.v1.Volume"]["properties"], "notInventedYet"} - {"name", "image"}
    assert len(sources) > 20
    for source in sources:
        spec = {"volumes": [{"name": "v", source: {}}]}
        assert bool(_violations(spec, None)) == bool(list(pod_models(spec, "spec."))), source


def test_an_inference_service_has_to_name_a_model() -> None:
    (found,) = _violations({"predictor": {"containers": []}}, None, kind="InferenceService")
    assert found == "expected an InferenceService whose predictor names its model, got none"


@pytest.mark.parametrize("name", SERVICES)
def test_of_an_inference_service_it_sees_what_the_server_sees(name: str) -> None:
    """Where every pinned model is accepted, and every other one refused."""
    spec = json.loads((VECTORS / name / "review.json").read_text(encoding="utf-8"))["request"]["object"]["spec"]
    keys = sorted(_asked("models", spec, None, kind="InferenceService"))
    refused = {}
    for key in keys:
        try:
            pinned(key)
        except LamslsaError as err:
            refused[key] = str(err)
    found = _violations(spec, _answered(keys, refused) if keys else None, kind="InferenceService")
    server = [item for item in service_models(spec) if isinstance(item.model, LamslsaError)]
    assert bool(found) == bool(server), (found, server)


def test_they_show_both() -> None:
    assert {name.endswith("_fail") for name in SERVICES} == {True, False}
    assert len(SERVICES) > 15


def test_provider_template_and_constraint_fit_each_other_and_the_server() -> None:
    installed = rendered("cert-manager")
    (template, constraint), asked = (_read("template.yaml"), _read("constraint.yaml")), _read("provider.yaml")["spec"]
    kind = template["spec"]["crd"]["spec"]["names"]["kind"]
    assert (template["metadata"]["name"], constraint["kind"]) == (kind.lower(), kind)
    assert asked["url"] == f"https://{host(installed)}:443/validate"
    budget = serve(named(installed, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"])["budget"]
    assert budget < asked["timeout"] <= 10
    match = constraint["spec"]["match"]
    assert match["namespaceSelector"]["matchExpressions"] == [OPT_IN]
    assert match["excludedNamespaces"] == ["kube-system", installed[0]["metadata"]["name"]]
    assert match["kinds"] == [
        {"apiGroups": [""], "kinds": ["Pod"]},
        {"apiGroups": ["serving.kserve.io"], "kinds": ["InferenceService"]},
    ]
    assert constraint["spec"]["enforcementAction"] == "deny"
    assert named(rendered("cert-manager/gatekeeper"), "Provider")["spec"]["caBundle"]
    assert not [each for each in rendered("cert-manager/gatekeeper") if each["kind"] in {"Secret", kind}]
