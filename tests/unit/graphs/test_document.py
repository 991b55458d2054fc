"""The JSON document: complete, and of a shape that stays."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import msgspec

from lamslsa.graphs import View, of_bundles, render
from lamslsa.graphs.document import GraphDocument
from lamslsa.graphs.interface import Quote, Signed, Verdict
from lamslsa.lineage import Fault
from lamslsa.sign import TrustedTime
from lamslsa.testing import chain


def test_the_shape(made: Any) -> None:
    zero, one = made.artifact(0), made.artifact(1)
    at = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    graph = made.graph(
        made.step(
            1,
            zero,
            one,
            standing="qualifying",
            signed=(Signed(who="auditor", times=(TrustedTime(at=at, source="log"),)),),
            quotes=(Quote(tee="sgx", simulated=True),),
            fault=Fault(reason="lineage-cycle", message="m"),
        ),
        verdict=Verdict(policy="p", policy_sha256="1" * 64, accepted=False, exit_code=5, warnings=("w",)),
        beside={"quotes": 2},
    )
    model, base = ({"kind": "model", "digest": f"sha256:{each.sha256}"} for each in (zero, one))
    statement = f"sha256:{1 + 10**9:064x}"
    assert json.loads(render(graph, form="json")) == {
        "apiVersion": "lamslsa.dev/graph/v1",
        "kind": "LineageGraph",
        "model": model,
        "policy": {"name": "p", "sha256": "1" * 64, "accepted": False, "exitCode": 5, "warnings": ["w"]},
        "simulated": True,
        "nodes": [{**model, "names": ["m0"], "distance": 0}, {**base, "names": ["m1"], "distance": 1}],
        "attestations": [
            {
                "digest": statement,
                "kind": "transform",
                "subject": model,
                "code": "quantize/1",
                "standing": "qualifying",
                "signatures": [
                    {"signer": "auditor", "trustedTimes": [{"at": "2026-01-02T00:00:00Z", "source": "log"}]}
                ],
                "tees": [{"tee": "sgx", "simulated": True}],
                "fault": {"reason": "lineage-cycle", "message": "m"},
                "reason": None,
            }
        ],
        "edges": [{"relation": "derived-from", "source": model, "target": base, "attestation": statement, "roles": []}],
        "beside": {"quotes": 2},
    }


def test_the_view_leaves_nothing_out(made: Any) -> None:
    graph = made.graph(*(made.step(number, made.artifact(number), made.artifact(number + 1)) for number in range(200)))
    assert render(graph, form="json", view=View(depth=0, limit=1)) == render(graph, form="json")
    assert len(json.loads(render(graph, form="json"))["nodes"]) == 201


def test_a_graph_that_was_read_has_the_shape(made: Any) -> None:
    graph = of_bundles(map(made.bundle, chain.census().values()), model=made.MODEL, name="a\u202e\ud800")
    text = render(graph, form="json")
    assert text.isascii()
    found = json.loads(text)
    assert found["policy"] is None
    msgspec.convert(found, GraphDocument)
