"""The gate over TLS: reviews, Gatekeeper, probes, and what strangers, slow registries and operators do to it."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamslsa.admission.http import Limits
from lamslsa.admission.judge import RegistryJudge
from lamslsa.admission.references import pinned
from lamslsa.admission.verdicts import Verdict
from lamslsa.errors import FormatError
from lamslsa.policy import Policy
from lamslsa.store import open_artifact_store
from lamslsa.store.oci import Reference
from lamslsa.store.transfer import copy
from lamslsa.testing.registry import Answer, Fault
from tests.unit.admission.conftest import Place
from tests.unit.admission.serving import Running, certify, serving
from tests.unit.admission.test_appraiser import NO, YES, Counting
from tests.unit.admission.test_appraiser import Gate as Waiting
from tests.unit.admission.test_review import VECTORS

REASON = "admission-http"
POD = (VECTORS / "pod-image-volume" / "review.json").read_bytes()


def until(done: Callable[[], Any]) -> None:
    """Wait for what happens in another thread."""
    pause = threading.Event()
    for _ in range(500):
        if done():
            return
        pause.wait(0.02)
    raise AssertionError("expected it to happen, got ten seconds of nothing")


def replace(path: Path, text: str) -> None:
    """Other bytes under the same name, at once."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


def keys(*items: str) -> bytes:
    document = {"apiVersion": "externaldata.gatekeeper.sh/v1beta1", "kind": "ProviderRequest"}
    return json.dumps({**document, "request": {"keys": items}}).encode()


def test_admitted_and_refused(place: Place, tmp_path: Path) -> None:
    judge = Counting()
    with serving(judge, place.policy_path, tmp_path / "tls", refused_s=0) as gate:
        assert gate.admit(POD)["allowed"] is True
        tag = (VECTORS / "pod-tag_fail" / "review.json").read_bytes()
        refused = gate.admit(tag)
        assert refused["allowed"] is False
        assert "admission-unpinned" in refused["status"]["message"]
        assert 'spec.volumes["model"].image.reference: expected' in refused["status"]["message"]
        assert gate.admit((VECTORS / "kind-unknown_fail" / "review.json").read_bytes())["allowed"] is False
        assert gate.admit((VECTORS / "pod-delete" / "review.json").read_bytes())["allowed"] is True
        first = gate.events("decision")[0]
        assert (first["allowed"], first["kind"], first["operation"]) == (True, "Pod", "CREATE")
        assert first["policy"] == f"sha256:{place.policy.closure}"
        assert [each["reasons"] for each in gate.events("decision")] == [
            [],
            ["admission-unpinned"],
            ["admission-kind"],
            [],
        ]
    assert len(judge.asked) == 1


def test_one_refused_model_of_two_refuses_the_pod(place: Place, tmp_path: Path) -> None:
    def judge(model: Reference, policy: Policy) -> Verdict:
        return NO if model.repository.endswith("other") else YES

    data = (VECTORS / "pod-two-models" / "review.json").read_bytes().replace(b"3f" * 32, b"4f" * 32, 1)
    with serving(judge, place.policy_path, tmp_path / "tls") as gate:
        response = gate.admit(data)
    assert response["allowed"] is False
    assert response["status"]["message"] == 'spec.volumes["other"].image.reference: no'


def test_the_whole_way_to_a_registry(place: Place, tmp_path: Path) -> None:
    """A model with its chain is admitted, the same without it is not, and a tag on the model changes nothing."""
    bare = place.bare("team/bare")
    judge = RegistryJudge(options=place.options)
    with serving(judge, place.policy_path, tmp_path / "tls", registries=(place.host,)) as gate:
        wanted = str(place.model).removeprefix("oci://")
        original = "registry.example/team/census@sha256:" + "3f" * 32
        refused = gate.admit(POD.replace(original.encode(), str(bare).removeprefix("oci://").encode()))
        assert refused["allowed"] is False
        assert "[model-refused]" not in refused["status"]["message"]
        assert gate.admit(POD.replace(original.encode(), wanted.encode()))["allowed"] is True
        assert gate.admit(POD)["status"]["message"].count("admission-registry") == 1
        _, text = gate.ask("POST", "/validate", keys(wanted, original, "x:v1"))
    accepted, other, tag = json.loads(text)["response"]["items"]
    assert accepted["value"] == {"model": str(place.model), "policy": f"sha256:{place.policy.closure}"}
    assert "admission-registry" in other["error"]
    assert "admission-unpinned" in tag["error"]


def test_a_tag_that_is_moved_brings_nothing_along(place: Place, tmp_path: Path) -> None:
    """The name under which a model was accepted says nothing for another one under the same name."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.safetensors").write_bytes(b"other weights")
    tagged = f"{place.host}/team/census:v1"
    judge = RegistryJudge(options=place.options)
    original = b"registry.example/team/census@sha256:" + b"3f" * 32
    with serving(judge, place.policy_path, tmp_path / "tls", registries=(place.host,)) as gate:

        def admit(reference: str) -> dict[str, Any]:
            return gate.admit(POD.replace(original, reference.encode()))

        assert admit(f"{tagged}@{place.model.digest}")["allowed"] is True
        target = open_artifact_store(f"oci://{tagged}", options=place.options)
        moved = copy(open_artifact_store(str(tmp_path / "other")), target, attestations=False).reference
        assert "[admission-unpinned]" in admit(tagged)["status"]["message"]
        assert admit(f"{tagged}@{pinned(moved).digest}")["allowed"] is False
        assert admit(f"{tagged}@{place.model.digest}")["allowed"] is True


def test_a_registry_that_is_down_is_a_refusal_and_not_the_end(place: Place, tmp_path: Path) -> None:
    judge = RegistryJudge(options=place.options)
    wanted = POD.replace(b"registry.example/team/census@sha256:" + b"3f" * 32, str(place.model)[6:].encode())
    with serving(judge, place.policy_path, tmp_path / "tls", registries=(place.host,)) as gate:
        place.registry.faults.add(Fault("GET", "/", Answer(status=503), times=1000))
        refused = gate.admit(wanted)
        assert refused["allowed"] is False
        assert "[registry-connection]" in refused["status"]["message"]
        assert gate.ask("GET", "/readyz")[0] == 200
        place.registry.faults.clear()
        assert gate.admit(wanted)["allowed"] is True


def test_a_thousand_keys(place: Place, tmp_path: Path) -> None:
    names = [f"registry.example/m{number}@sha256:{number:064x}" for number in range(1000)]
    with serving(Counting(), place.policy_path, tmp_path / "tls") as gate:
        status, text = gate.ask("POST", "/validate", keys(*names))
        assert status == 200
        items = json.loads(text)["response"]["items"]
        assert [item["key"] for item in items] == names
        assert all("value" in item for item in items)
        assert gate.ask("POST", "/validate", keys(*names, "x"))[0] == 400


@pytest.mark.parametrize("query", ["?timeout=1s", "?a=b&timeout=1s"])
def test_a_slow_registry_is_a_refusal_within_the_budget(place: Place, tmp_path: Path, query: str) -> None:
    waiting = Waiting()
    with serving(waiting, place.policy_path, tmp_path / "tls", budget_s=0.05) as gate:
        refused = gate.admit(POD, f"/admit{query}")
        assert refused["allowed"] is False
        assert "admission-budget" in refused["status"]["message"]
        assert gate.ask("GET", "/readyz")[0] == 200
        waiting.opened.set()
        until(lambda: gate.admit(POD)["allowed"])


def test_the_api_server_may_give_less_time(place: Place, tmp_path: Path) -> None:
    waiting = Waiting()
    with serving(waiting, place.policy_path, tmp_path / "tls", budget_s=3600) as gate:
        message = gate.admit(POD, "/admit?timeout=0s")["status"]["message"]
        assert "expected a verdict within the 0 seconds of this request" in message
        assert "[admission-budget]" in message
        waiting.opened.set()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/admit", b"{", 400),
        ("POST", "/admit", b"", 400),
        ("POST", "/admit", b"\xff" * 100_000, 400),
        ("POST", "/admit", b'{"a":' * 10_000, 400),
        ("POST", "/admit", keys("x"), 400),
        ("POST", "/validate", POD, 400),
        ("POST", "/nothing", b"", 404),
        ("GET", "/admit", None, 405),
        ("POST", "/healthz", b"", 405),
        ("GET", "/healthz", None, 200),
        ("GET", "/readyz", None, 200),
    ],
)
def test_requests(place: Place, tmp_path: Path, method: str, path: str, body: bytes | None, status: int) -> None:
    with serving(Counting(), place.policy_path, tmp_path / "tls") as gate:
        assert gate.ask(method, path, body)[0] == status
        assert gate.admit(POD)["allowed"] is True


@pytest.mark.parametrize(
    "data",
    [
        b"x\r\n\r\n",
        b"POST /admit\r\n\r\n",
        b"POST admit HTTP/1.1\r\n\r\n",
        b"POST /admit HTTP/2\r\n\r\n",
        b"\xff\xff\xff\r\n\r\n",
        b"POST /admit HTTP/1.1\r\nContent-Length: 8388609\r\n\r\n",
        b"POST /admit HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /admit HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /admit HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /admit HTTP/1.1\r\nContent-Length : 1\r\n\r\n",
        b"POST /admit HTTP/1.1\r\nnonsense\r\n\r\n",
        b"POST /admit HTTP/1.1\r\n" + b"a: b\r\n" * 100 + b"\r\n",
        b"POST /admit HTTP/1.1\r\n" + b"a" * 20_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http_is_answered_with_400(place: Place, tmp_path: Path, data: bytes) -> None:
    with serving(Counting(), place.policy_path, tmp_path / "tls") as gate:
        with (
            socket.create_connection(("127.0.0.1", gate.port), timeout=10) as line,
            gate.trusted.wrap_socket(line, server_hostname="127.0.0.1") as secure,
        ):
            secure.sendall(data)
            answer = b""
            while not answer.endswith(f" [{REASON}]\n".encode()):
                got = secure.recv(4096)
                assert got, answer
                answer += got
            assert answer.startswith(b"HTTP/1.1 400 ")
        assert gate.admit(POD)["allowed"] is True
        assert [each["reason"] for each in gate.events("malformed")] == [REASON]
        assert f'lamslsa_admission_refusals_total{{reason="{REASON}"}} 1' in gate.ask("GET", "/metrics")[1].splitlines()


def test_who_sends_too_much_sees_why(place: Place, tmp_path: Path) -> None:
    with serving(Counting(), place.policy_path, tmp_path / "tls") as gate:
        status, text = gate.ask("POST", "/admit", b"<" * (9 * 1024 * 1024))
    assert status == 400
    assert text == f"expected at most 8388608 bytes in a request, got 9437184 [{REASON}]\n"


def test_a_connection_is_used_again(place: Place, tmp_path: Path) -> None:
    with serving(Counting(), place.policy_path, tmp_path / "tls") as gate:
        connection = gate.connect()
        for _ in range(3):
            connection.request("POST", "/admit", POD)
            assert json.load(connection.getresponse())["response"]["allowed"] is True
        assert gate.service._server.connections == 1
        connection.close()


def test_tls_before_1_3_is_refused(place: Place, tmp_path: Path) -> None:
    with serving(Counting(), place.policy_path, tmp_path / "tls") as gate:
        gate.trusted.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            gate.ask("GET", "/healthz")


def test_connections_that_are_opened_and_left(place: Place, tmp_path: Path) -> None:
    lines: list[socket.socket] = []
    with serving(Counting(), place.policy_path, tmp_path / "tls") as gate:
        try:
            for number in range(500):
                line = socket.create_connection(("127.0.0.1", gate.port), timeout=10)
                if number % 100 == 0:  # some go as far as half a request
                    line = gate.trusted.wrap_socket(line, server_hostname="127.0.0.1")
                    line.sendall(b"POST /admit HT")
                lines.append(line)
            assert gate.admit(POD)["allowed"] is True
        finally:
            for line in lines:
                line.close()


def test_connections_are_limited_and_given_up(place: Place, tmp_path: Path) -> None:
    limits = Limits(connections=1, idle_s=1.0, request_s=1.0)
    with serving(Counting(), place.policy_path, tmp_path / "tls", limits=limits) as gate:
        with (
            socket.create_connection(("127.0.0.1", gate.port), timeout=10) as line,
            gate.trusted.wrap_socket(line, server_hostname="127.0.0.1") as secure,
        ):
            secure.sendall(b"POST /adm")
            assert secure.recv(1) == b""
        until(lambda: gate.service._server.connections == 0)
        assert gate.admit(POD)["allowed"] is True


def test_one_connection_too_many_is_closed(place: Place, tmp_path: Path) -> None:
    with serving(Counting(), place.policy_path, tmp_path / "tls", limits=Limits(connections=1)) as gate:
        first = gate.connect()
        first.request("GET", "/healthz")
        assert first.getresponse().read() == b"ok\n"
        with pytest.raises((OSError, EOFError)):
            gate.ask("GET", "/healthz")
        first.close()
        until(lambda: gate.service._server.connections == 0)
        assert gate.ask("GET", "/healthz")[0] == 200


def test_too_many_bytes_at_a_time(place: Place, tmp_path: Path) -> None:
    with serving(Counting(), place.policy_path, tmp_path / "tls", limits=Limits(bodies=10)) as gate:
        assert gate.ask("POST", "/admit", b"x" * 11)[0] == 503
        assert gate.events("malformed")[0]["reason"] == "admission-crowded"
        assert gate.ask("POST", "/admit", b"x" * 10)[0] == 400


def test_metrics(place: Place, tmp_path: Path) -> None:
    with serving(Counting(), place.policy_path, tmp_path / "tls") as gate:
        gate.admit(POD)
        gate.admit((VECTORS / "pod-tag_fail" / "review.json").read_bytes())
        gate.ask("POST", "/admit", b"{")
        status, text = gate.ask("GET", "/metrics")
    assert status == 200
    lines = text.splitlines()
    assert 'lamslsa_admission_decisions_total{allowed="true"} 1' in lines
    assert 'lamslsa_admission_decisions_total{allowed="false"} 1' in lines
    assert 'lamslsa_admission_refusals_total{reason="admission-unpinned"} 1' in lines
    assert 'lamslsa_admission_refusals_total{reason="json-syntax"} 1' in lines
    assert 'lamslsa_admission_requests_total{code="400",path="/admit"} 1' in lines
    assert 'lamslsa_admission_seconds_bucket{le="+Inf"} 3' in lines
    assert "lamslsa_admission_seconds_count 3" in lines
    assert "lamslsa_admission_waiting 0" in lines
    assert lines.count("# TYPE lamslsa_admission_decisions_total counter") == 1


def test_stopping_leaves_nobody_without_an_answer(place: Place, tmp_path: Path) -> None:
    waiting = Waiting()
    with serving(waiting, place.policy_path, tmp_path / "tls") as gate:
        idle = gate.connect()
        idle.request("GET", "/healthz")
        idle.getresponse().read()
        answers: list[bool] = []
        asking = [threading.Thread(target=lambda: answers.append(gate.admit(POD)["allowed"])) for _ in range(8)]
        for each in asking:
            each.start()
        assert waiting.begun.acquire(timeout=10)
        until(lambda: gate.service._server.connections == 9)
        until(lambda: len(gate.service._server._idle) == 1)
        gate.service.stop()
        until(lambda: gate.events("stopping"))
        waiting.opened.set()
        for each in asking:
            each.join(10)
        assert answers == [True] * 8
        gate.thread.join(10)
        assert gate.events("stopped")
        idle.close()


def test_stopping_under_load_drops_no_answer(place: Place, tmp_path: Path) -> None:
    answered: list[bool] = []
    dropped: list[BaseException] = []

    def asking(gate: Running) -> None:
        while True:
            connection = gate.connect()
            try:
                connection.connect()
            except OSError:  # nobody listens any more: the API server asks another one
                return
            try:
                for _ in range(3):
                    connection.request("POST", "/admit", POD)
                    answer = connection.getresponse()
                    answered.append(json.load(answer)["response"]["allowed"])
                    if answer.getheader("Connection") == "close":
                        break
            except (OSError, http.client.HTTPException, ValueError) as err:
                dropped.append(err)
                return
            finally:
                connection.close()

    with serving(Counting(), place.policy_path, tmp_path / "tls", drain_s=0.4) as gate:
        clients = [threading.Thread(target=asking, args=(gate,)) for _ in range(6)]
        for client in clients:
            client.start()
        until(lambda: len(answered) > 20)
        gate.service.stop()
        for client in clients:
            client.join(20)
    assert not dropped
    assert all(answered)


def test_while_it_drains_it_answers_and_is_not_ready(place: Place, tmp_path: Path) -> None:
    with serving(Counting(), place.policy_path, tmp_path / "tls", drain_s=2.0) as gate:
        gate.service.stop()
        until(lambda: gate.events("stopping"))
        status, text = gate.ask("GET", "/readyz")
        assert (status, text) == (503, "stopping\n")
        connection = gate.connect()
        connection.request("POST", "/admit", POD)
        answer = connection.getresponse()
        assert answer.getheader("Connection") == "close"
        assert json.load(answer)["response"]["allowed"] is True
        connection.close()


def served_name(gate: Running) -> bytes:
    insecure = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    insecure.check_hostname, insecure.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", gate.port), timeout=10) as line,
        insecure.wrap_socket(line) as secure,  # no name is asked for
    ):
        return secure.getpeercert(binary_form=True) or b""


def test_a_new_certificate_is_taken_and_a_bad_one_is_not(place: Place, tmp_path: Path) -> None:
    with serving(Counting(), place.policy_path, tmp_path / "tls") as gate:
        first = served_name(gate)
        (tmp_path / "tls" / "tls.crt").write_text("rubbish")
        until(lambda: gate.events("kept"))
        assert gate.events("kept")[0]["reason"] == "admission-certificate"
        assert served_name(gate) == first
        certify(tmp_path / "tls", name="renewed")
        until(lambda: any(each["what"] == "certificate" for each in gate.events("taken")))
        assert served_name(gate) != first
        gate.trusted.load_verify_locations(gate.certificate)
        assert gate.admit(POD)["allowed"] is True


def test_a_certificate_that_has_ended_is_not_ready(place: Place, tmp_path: Path) -> None:
    with serving(Counting(), place.policy_path, tmp_path / "tls") as gate:
        gate.service._certificates.not_after = gate.service._certificates.not_after.replace(year=2020)
        assert gate.ask("GET", "/readyz") == (503, "the certificate has ended\n")
        assert gate.admit(POD)["allowed"] is True


@pytest.mark.parametrize("change", [{"days": -1}, {"passphrase": b"secret"}])
def test_certificates_that_cannot_be_used(tmp_path: Path, change: dict[str, Any]) -> None:
    from lamslsa.admission.certificates import Certificates

    with pytest.raises(FormatError) as caught:
        Certificates(*certify(tmp_path, **change))
    assert caught.value.reason == "admission-certificate"


def test_a_policy_of_rubbish_changes_nothing_and_a_good_one_is_taken(place: Place, tmp_path: Path) -> None:
    judge = Counting()
    good = place.policy_path.read_text()
    with serving(judge, place.policy_path, tmp_path / "tls") as gate:
        gate.admit(POD)
        replace(place.policy_path, "rubbish: [")
        until(lambda: gate.events("kept"))
        assert gate.admit(POD)["auditAnnotations"]["policy"] == f"sha256:{place.policy.closure}"
        assert gate.ask("GET", "/readyz")[0] == 200
        replace(place.policy_path, good + "# another\n")
        until(lambda: gate.events("taken"))
        answer = gate.admit(POD)
        assert answer["allowed"] is True
        assert answer["auditAnnotations"]["policy"] != f"sha256:{place.policy.closure}"
        assert len(gate.events("kept")) == 1
    assert len(judge.asked) == 2
