"""Checkpoints, witness policies and timestamps that are almost right."""

from __future__ import annotations

import base64
import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest

from lamslsa.errors import FormatError
from lamslsa.evidence import beacon
from lamslsa.evidence._note import parse_checkpoint
from lamslsa.evidence._witness_policy import parse_witness_policy
from lamslsa.evidence.beacon import refuse_other_than_beacon
from lamslsa.evidence.nonce import Nonce
from lamslsa.testing.beacons import Log, TimestampServer

NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
ROOT_HASH = base64.b64encode(bytes(32)).decode()
SIGNATURE = base64.b64encode(bytes(70)).decode()
TST_INFO = bytes.fromhex("060b2a864886f70d0109100104")


def test_a_checkpoint() -> None:
    note = parse_checkpoint(f"log\n7\n{ROOT_HASH}\nmore\n\n— log {SIGNATURE}\n".encode())
    assert note.text == f"log\n7\n{ROOT_HASH}\nmore\n".encode()
    assert note.signatures == {("log", bytes(4)): bytes(66)}


@pytest.mark.parametrize(
    "text",
    [
        f"log\n7\n\n— log {SIGNATURE}\n",
        f"log\n\n— log {SIGNATURE}\n",
        f"log\n7\n{ROOT_HASH}\n\n\n— log {SIGNATURE}\n",
        f"log\n7\n{ROOT_HASH}\n\nmore\n\n— log {SIGNATURE}\n",
        f"\n7\n{ROOT_HASH}\n\n— log {SIGNATURE}\n",
        f"log\n7\n{ROOT_HASH}\n\nlog {SIGNATURE}\n",
        f"log\n7\n{ROOT_HASH}\n\n—  {SIGNATURE}\n",
        f"log\n7\n{ROOT_HASH}\n\n— log\n",
        f"log\n7\n{ROOT_HASH}\n\n— log {base64.b64encode(bytes(4)).decode()}\n",
        f"log\n7\n{ROOT_HASH}\n\n— log {SIGNATURE[:-4]}*{SIGNATURE[-4:]}\n",
        f"log\n7\n{base64.b64encode(bytes(31)).decode()}\n\n— log {SIGNATURE}\n",
    ],
)
def test_almost_a_checkpoint(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_checkpoint(text.encode())
    assert caught.value.reason == "beacon-note"


@pytest.mark.parametrize("count", [64, 65])
def test_how_many_witnesses_groups_and_logs_there_can_be(count: int) -> None:
    log = Log(witnesses=count)
    logs = [Log(witnesses=0) for _ in range(count)]
    witnesses = "".join(f"witness w{number} {key.vkey}\n" for number, key in enumerate(log.witnesses))
    groups = f"witness w {log.witnesses[0].vkey}\ngroup g0 any w\n" + "".join(
        f"group g{number} any g{number - 1}\n" for number in range(1, count)
    )
    for text in (
        f"log {log.key.vkey}\n{witnesses}quorum w0\n",
        f"log {log.key.vkey}\n{groups}quorum g0\n",
        "".join(f"log {item.key.vkey}\n" for item in logs) + f"witness w {log.witnesses[0].vkey}\nquorum w\n",
    ):
        if count == 64:
            assert parse_witness_policy(text.encode()).quorum
            continue
        with pytest.raises(FormatError, match="at most 64 logs, witnesses and groups") as caught:
            parse_witness_policy(text.encode())
        assert caught.value.reason == "beacon-witnesses"


def test_a_response_over_something_else() -> None:
    good = TimestampServer(NOW).stamp(NOW)
    nonce = Nonce.of_beacon(good.replace(TST_INFO, TST_INFO[:-1] + b"\x05"))
    assert nonce.beacon is not None
    assert nonce.beacon.data != good
    with pytest.raises(FormatError) as caught:
        refuse_other_than_beacon(nonce.beacon)
    assert caught.value.reason == "beacon-timestamp"
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("accuracy", "margin"),
    [
        (None, dt.timedelta()),
        ({"seconds": 3}, dt.timedelta(seconds=3)),
        ({"millis": 4}, dt.timedelta(milliseconds=4)),
        ({"micros": 5}, dt.timedelta(microseconds=5)),
        ({"seconds": 3, "millis": 4, "micros": 5}, dt.timedelta(seconds=3, milliseconds=4, microseconds=5)),
    ],
)
def test_the_accuracy_counts_to_its_last_part(accuracy: dict[str, int] | None, margin: dt.timedelta) -> None:
    stated = (
        None if accuracy is None else SimpleNamespace(**{"seconds": None, "millis": None, "micros": None} | accuracy)
    )
    response: Any = SimpleNamespace(tst_info=SimpleNamespace(accuracy=stated, gen_time=NOW))
    assert beacon._earliest(response) == NOW - margin
