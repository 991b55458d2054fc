"""Whom a trusted root gives for which times: logs by their ids, and timestamp authorities, to the second."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lamslsa.errors import VerificationError
from lamslsa.sign.dsse import parse_bundle
from lamslsa.sign.interface import Witnessed
from lamslsa.sign.key import KeyVerifier
from lamslsa.sign.keyless import SigstoreRoot
from lamslsa.sign.keyless._parts import covers
from lamslsa.testing.sigstore import LocalSigstore, Rekor
from tests.unit.sign.keyless.bundles import Signing, put

SECOND = dt.timedelta(seconds=1)
DAY = dt.timedelta(days=1)
UNKNOWN = bytes([7]) * 32
STAMPS = ("verificationMaterial", "timestampVerificationData", "rfc3161Timestamps")
Edit = Callable[[dict[str, Any]], object]


def written(at: dt.datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


def rooted(sigstore: LocalSigstore, edit: Edit = lambda value: None) -> SigstoreRoot:
    value = json.loads(sigstore.trusted_root_json())
    edit(value)
    return SigstoreRoot.load(json.dumps(value).encode())


def period_of_log(number: int, **period: dt.datetime) -> Edit:
    def edit(value: dict[str, Any]) -> None:
        value["tlogs"][number]["publicKey"]["validFor"].update({name: written(at) for name, at in period.items()})

    return edit


@pytest.fixture
def call(local_sigstore: LocalSigstore) -> Iterator[Callable[[Rekor, bytes], None]]:
    """Lets a log call itself by another id, as whoever has its key can."""
    logs: dict[Rekor, Any] = {1: local_sigstore.rekor1, 2: local_sigstore.rekor2}
    own = {rekor: log.log_id for rekor, log in logs.items()}

    def rename(rekor: Rekor, log_id: bytes) -> None:
        logs[rekor].log_id = logs[rekor]._log.log_id = log_id

    yield rename
    for rekor, log_id in own.items():
        rename(rekor, log_id)


def beside_a_key(root: SigstoreRoot, signing: Signing, bundle: bytes) -> Witnessed:
    return KeyVerifier.load(signing.public_pem, root).verify(parse_bundle(bundle)).witnessed


def refusal(root: SigstoreRoot, bundle: bytes) -> str:
    with pytest.raises(VerificationError) as caught:
        root.verify(parse_bundle(bundle))
    return caught.value.reason


@pytest.mark.parametrize("rekor", [1, 2])
def test_the_key_of_a_retired_log_under_the_name_of_another(
    local_sigstore: LocalSigstore, call: Callable[[Rekor, bytes], None], rekor: Rekor
) -> None:
    root = rooted(local_sigstore, period_of_log(rekor - 1, end=now() - DAY))
    call(rekor, local_sigstore.rekor2.log_id if rekor == 1 else local_sigstore.rekor1.log_id)
    key, identity = Signing(local_sigstore), Signing.of(local_sigstore)
    found = beside_a_key(root, key, key.envelope(rekor=rekor, stamped=True))
    assert (found.logged, [time.source for time in found.times]) == (False, ["timestamp"])
    assert refusal(root, identity.envelope(rekor=rekor, stamped=True)) == "signature-log"
    found = beside_a_key(root, key, key.envelope(rekor=rekor))
    assert (found.logged, found.times) == (False, ())


@pytest.mark.parametrize("rekor", [1, 2])
def test_a_log_whose_id_the_root_does_not_give(
    local_sigstore: LocalSigstore, call: Callable[[Rekor, bytes], None], rekor: Rekor
) -> None:
    root = rooted(local_sigstore)
    call(rekor, UNKNOWN)
    key, identity = Signing(local_sigstore), Signing.of(local_sigstore)
    found = beside_a_key(root, key, key.envelope(rekor=rekor, stamped=True))
    assert (found.logged, [time.source for time in found.times]) == (False, ["timestamp"])
    assert f"no log of the trusted root has the id {UNKNOWN.hex()}" in found.message
    assert refusal(root, identity.envelope(rekor=rekor, stamped=True)) == "signature-log"


def test_a_root_names_each_of_its_logs(local_sigstore: LocalSigstore) -> None:
    root, key = rooted(local_sigstore, lambda value: value["tlogs"][0].pop("logId")), Signing(local_sigstore)
    assert beside_a_key(root, key, key.envelope(rekor=1)).message.startswith("expected a trusted root that can be read")
    assert refusal(root, Signing.of(local_sigstore).envelope(rekor=1)) == "trusted-root-unread"


@pytest.mark.parametrize("rekor", [1, 2])
def test_an_id_that_the_root_gives_twice_names_no_log(local_sigstore: LocalSigstore, rekor: Rekor) -> None:
    """Whichever of the two comes first in the root."""

    def repeat(value: dict[str, Any]) -> None:
        own = value["tlogs"][rekor - 1]["logId"]
        for log in value["tlogs"]:
            log["logId"] = own

    root, key = rooted(local_sigstore, repeat), Signing(local_sigstore)
    assert not beside_a_key(root, key, key.envelope(rekor=rekor)).logged
    assert refusal(root, Signing.of(local_sigstore).envelope(rekor=rekor, stamped=True)) == "signature-log"


def test_a_log_of_the_future_counts_for_nothing_yet(local_sigstore: LocalSigstore) -> None:
    root, key = rooted(local_sigstore, period_of_log(1, start=now() + DAY)), Signing(local_sigstore)
    assert not beside_a_key(root, key, key.envelope(rekor=2)).logged


def test_a_key_of_a_kind_that_nobody_knows_takes_no_other_with_it(local_sigstore: LocalSigstore) -> None:
    def strange(value: dict[str, Any]) -> None:
        value["tlogs"][1]["publicKey"]["keyDetails"] = "LMS_SHA256"

    root, key = rooted(local_sigstore, strange), Signing(local_sigstore)
    assert beside_a_key(root, key, key.envelope(rekor=1)).logged
    assert not beside_a_key(root, key, key.envelope(rekor=2)).logged


@pytest.fixture
def earlier(faulty_sigstore: LocalSigstore) -> dt.datetime:
    """A time that has been, in the middle of what certificates of now are valid for."""
    faulty_sigstore.fulcio.clock.offset = -dt.timedelta(minutes=5)
    return now() - dt.timedelta(minutes=1)


def stamped_at(signing: Signing, at: dt.datetime, rekor: Rekor) -> bytes:
    """A bundle whose timestamp says another time."""

    def restamp(bundle: dict[str, Any]) -> None:
        signature = base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"])
        put(*STAMPS, value=[{"signedTimestamp": signing.stamp_at(signature, at)}])(bundle)

    return signing.envelope(rekor=rekor, stamped=True, edit=restamp)


@pytest.mark.parametrize("edge", ["start", "end"])
@pytest.mark.parametrize(("past", "logged"), [(0, True), (1, False)])
def test_a_timestamp_at_the_edges_of_a_log_s_period(
    faulty_sigstore: LocalSigstore, earlier: dt.datetime, edge: str, past: int, logged: bool
) -> None:
    root = rooted(faulty_sigstore, period_of_log(1, **{edge: earlier}))
    at = earlier + past * (-SECOND if edge == "start" else SECOND)
    key, identity = Signing(faulty_sigstore), Signing.of(faulty_sigstore)
    found = beside_a_key(root, key, stamped_at(key, at, 2))
    assert (found.logged, [time.at for time in found.times]) == (logged, [at])
    assert logged or "got one for another" in found.message
    bundle = stamped_at(identity, at, 2)
    if logged:
        assert root.verify(parse_bundle(bundle)).witnessed.logged
    else:
        assert refusal(root, bundle) == "signature-log"


@pytest.mark.parametrize("rekor", [1, 2])
def test_leaving_out_the_time_helps_nobody(local_sigstore: LocalSigstore, rekor: Rekor) -> None:
    ended = rooted(local_sigstore, period_of_log(rekor - 1, end=now() - DAY))
    key = Signing(local_sigstore)
    found = beside_a_key(ended, key, key.envelope(rekor=rekor))
    assert (found.logged, found.times) == (False, ())
    assert "none that is known" in found.message


def test_an_entry_is_dated_by_its_log_or_by_a_timestamp(local_sigstore: LocalSigstore) -> None:
    """One time within the period is enough; a promised time outside of it is no time."""
    key, at = Signing(local_sigstore), now() - DAY
    root = rooted(local_sigstore, period_of_log(0, end=at))

    def old(bundle: dict[str, Any]) -> None:
        signature = base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"])
        put(*STAMPS, value=[{"signedTimestamp": key.stamp_at(signature, at)}])(bundle)

    found = beside_a_key(root, key, key.envelope(rekor=1, stamped=True, edit=old))
    assert found.logged
    assert [time.source for time in found.times] == ["timestamp"]


@pytest.mark.parametrize("edge", ["start", "end"])
@pytest.mark.parametrize(("past", "sources"), [(0, ["log", "timestamp"]), (1, ["log"])])
def test_a_timestamp_at_the_edges_of_its_authority_s_period(
    faulty_sigstore: LocalSigstore, earlier: dt.datetime, edge: str, past: int, sources: list[str]
) -> None:
    period = {edge: written(earlier)}
    root = rooted(faulty_sigstore, lambda value: value["timestampAuthorities"][0]["validFor"].update(period))
    at = earlier + past * (-SECOND if edge == "start" else SECOND)
    key, identity = Signing(faulty_sigstore), Signing.of(faulty_sigstore)
    beside_certificate = root.verify(parse_bundle(stamped_at(identity, at, 1))).witnessed
    for found in (beside_a_key(root, key, stamped_at(key, at, 1)), beside_certificate):
        assert sorted(time.source for time in found.times) == sources


@pytest.mark.parametrize(("signers", "sources"), [(0, ["log"]), (1, ["log", "timestamp"]), (2, ["log"])])
def test_a_timestamp_has_exactly_one_signer(local_sigstore: LocalSigstore, signers: int, sources: list[str]) -> None:
    """The client counts them where the timestamp carries a certificate, and only there."""
    root = rooted(local_sigstore)
    for signing in (Signing(local_sigstore), Signing.of(local_sigstore)):

        def restamp(bundle: dict[str, Any], signing: Signing = signing) -> None:
            signature = base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"])
            stamp = signing.stamp_at(signature, now() + SECOND, signers=signers, carry=False)
            put(*STAMPS, value=[{"signedTimestamp": stamp}])(bundle)

        bundle = signing.envelope(rekor=1, stamped=True, edit=restamp)
        found = (
            root.verify(parse_bundle(bundle)).witnessed if signing.certificate else beside_a_key(root, signing, bundle)
        )
        assert sorted(time.source for time in found.times) == sources
        assert (found.message == "") is (signers == 1)


class Period:
    def __init__(self, start: dt.datetime | None, end: dt.datetime | None) -> None:
        self.start, self.end = start, end


def test_a_period_includes_both_of_its_ends() -> None:
    start, end = now(), now() + DAY
    instant = dt.timedelta(microseconds=1)
    assert covers(Period(start, end), start)
    assert covers(Period(start, end), end)
    assert not covers(Period(start, end), start - instant)
    assert not covers(Period(start, end), end + instant)
    assert covers(Period(start, None), end + DAY)
    assert covers(Period(None, end), start - DAY)
    assert covers(None, start)
