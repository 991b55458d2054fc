from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamslsa.errors import FormatError, VerificationError
from lamslsa.evidence.tdx.ccel import MAX_LOG_BYTES, Event, parse, replay, verify_event_log
from lamslsa.evidence.tdx.verify import TdxClaims, TdxVerifier
from lamslsa.testing.simulated_tdx import TRUST_DOMAIN, SimulatedTdxVendor, render_event_log


def event(register: int, text: str, kind: int = 0xD) -> Event:
    data = text.encode()
    return Event(register=register, kind=kind, digest=hashlib.sha384(data).digest(), data=data)


EVENTS = (event(1, "firmware"), event(2, "loader"), event(3, "kernel"), event(4, "application"), event(2, ""))
START = 65


@pytest.fixture(scope="module")
def claims(now: dt.datetime) -> TdxClaims:
    vendor = SimulatedTdxVendor(now)
    quote = vendor.quote(bytes(64), domain=dataclasses.replace(TRUST_DOMAIN, rtmrs=replay(EVENTS)))
    return TdxVerifier().verify(quote, collateral=vendor.collateral(), roots=[vendor.root], at=now)


def test_read_as_written() -> None:
    assert parse(render_event_log(EVENTS)) == EVENTS
    assert parse(render_event_log(())) == ()


@pytest.mark.parametrize("filler", [b"", b"\xff", b"\0", b"\xff" * 7, b"\0" * 9])
def test_one_filler_may_follow(filler: bytes) -> None:
    assert parse(render_event_log(EVENTS, size=0) + filler) == EVENTS


@pytest.mark.parametrize("rest", [b"\xff\0", b"\0" * 8 + b"\xff", b"\xff" * 8 + b"\0", b"\xff" * 4096 + b"x", b"x"])
def test_nothing_else_may_follow(rest: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        parse(render_event_log(EVENTS, size=0) + rest)
    assert caught.value.reason in {"event-log-trailing", "event-log-truncated", "event-log-register"}


def test_replay_by_hand() -> None:
    def extended(*texts: str) -> bytes:
        value = bytes(48)
        for text in texts:
            value = hashlib.sha384(value + hashlib.sha384(text.encode()).digest()).digest()
        return value

    assert replay(EVENTS) == (extended("firmware"), extended("loader", ""), extended("kernel"), extended("application"))
    assert replay(()) == (bytes(48),) * 4
    assert replay([event(1, "nothing", kind=3), event(0, "nothing", kind=3)]) == (bytes(48),) * 4


def test_what_is_measured() -> None:
    assert event(1, "text").measures_its_data
    assert not dataclasses.replace(event(1, "text"), data=b"other").measures_its_data
    nothing = event(1, "text", kind=3)
    assert (nothing.extends, nothing.measures_its_data) == (False, False)
    assert event(1, "text").extends


def test_verified(claims: TdxClaims) -> None:
    assert verify_event_log(render_event_log(EVENTS), claims) == EVENTS


@pytest.mark.parametrize("number", range(4))
def test_each_register_counts(claims: TdxClaims, number: int) -> None:
    for changed in (EVENTS[:number] + EVENTS[number + 1 :], (*EVENTS, event(number + 1, "more"))):
        with pytest.raises(VerificationError, match="RTMR") as caught:
            verify_event_log(render_event_log(changed), claims)
        assert caught.value.reason == "evidence-event-log"


def test_what_is_not_extended_claims_only(claims: TdxClaims) -> None:
    said = (event(0, "a lie", kind=3), *EVENTS)
    assert verify_event_log(render_event_log(said), claims) == said


def test_several_algorithms() -> None:
    spec_id = struct.pack("<16sI4BIHHHHB2s", b"Spec ID Event03", 0, 0, 2, 0, 2, 2, 0x0B, 32, 0x0C, 48, 2, b"vv")
    log = struct.pack("<II20sI", 1, 3, bytes(20), len(spec_id)) + spec_id
    first, other = EVENTS[0], bytes(32)
    tail = struct.pack("<I", len(first.data)) + first.data
    for digests in (
        struct.pack("<H", 0x0C) + first.digest + struct.pack("<H", 0x0B) + other,
        struct.pack("<H", 0x0B) + other + struct.pack("<H", 0x0C) + first.digest,
    ):
        assert parse(log + struct.pack("<III", 1, 0xD, 2) + digests + tail) == (first,)
    for fewer in (b"", struct.pack("<H", 0x0C) + first.digest):
        with pytest.raises(FormatError) as caught:
            parse(log + struct.pack("<III", 1, 0xD, 1 if fewer else 0) + fewer + tail)
        assert caught.value.reason == "event-log-digests"
    twice = (struct.pack("<H", 0x0C) + first.digest) * 2
    with pytest.raises(FormatError) as caught:
        parse(log + struct.pack("<III", 1, 0xD, 2) + twice + tail)
    assert caught.value.reason == "event-log-digests"


@pytest.mark.parametrize(
    ("at", "data"),
    [
        (0, "02000000"),  # register
        (4, "04000000"),  # type
        (8, "01"),  # digest
        (28, "22000000"),  # size
        (28, "20000000"),
        (32, "73"),  # signature
        (56, "00000000"),  # number of algorithms
        (56, "09000000"),
        (60, "0b00"),  # no SHA-384
        (62, "2000"),  # SHA-384 of another size
    ],
)
def test_the_spec_id_event(at: int, data: str) -> None:
    log = bytearray(render_event_log(EVENTS))
    part = bytes.fromhex(data)
    log[at : at + len(part)] = part
    with pytest.raises(FormatError) as caught:
        parse(bytes(log))
    assert caught.value.reason == "event-log-spec-id"


def test_an_algorithm_twice() -> None:
    spec_id = struct.pack("<16sI4BIHHHHB", b"Spec ID Event03", 0, 0, 2, 0, 2, 2, 0x0C, 48, 0x0C, 48, 0)
    with pytest.raises(FormatError) as caught:
        parse(struct.pack("<II20sI", 0, 3, bytes(20), len(spec_id)) + spec_id)
    assert caught.value.reason == "event-log-spec-id"


@pytest.mark.parametrize(("count", "accepted"), [(8, True), (9, False)])
def test_number_of_algorithms(count: int, accepted: bool) -> None:
    listed = b"".join(struct.pack("<HH", 0x0C + number, 48) for number in range(count))
    spec_id = struct.pack("<16sI4BI", b"Spec ID Event03", 0, 0, 2, 0, 2, count) + listed + b"\0"
    log = struct.pack("<II20sI", 0, 3, bytes(20), len(spec_id)) + spec_id
    if accepted:
        assert parse(log) == ()
    else:
        with pytest.raises(FormatError, match="at most 8 algorithms"):
            parse(log)


@pytest.mark.parametrize("register", [0, 5, 0xFFFFFFFE])
def test_registers_of_a_td(register: int) -> None:
    with pytest.raises(FormatError) as caught:
        parse(render_event_log([event(register, "text")]))
    assert caught.value.reason == "event-log-register"


def test_sizes() -> None:
    log = render_event_log(EVENTS, size=MAX_LOG_BYTES)
    assert parse(log) == EVENTS
    with pytest.raises(FormatError) as caught:
        parse(log + b"\xff")
    assert caught.value.reason == "event-log-size"


def test_number_of_events() -> None:
    many = [event(1, "")] * 8192
    assert len(parse(render_event_log(many))) == 8192
    with pytest.raises(FormatError) as caught:
        parse(render_event_log([*many, event(1, "")]))
    assert caught.value.reason == "event-log-size"


def test_every_truncation_is_refused_or_a_shorter_log() -> None:
    log = render_event_log(EVENTS, size=0)
    ends = []
    for length in range(len(log)):
        try:
            parse(log[:length])
        except FormatError:
            continue
        ends.append(length)
    assert ends == [START + sum(66 + len(item.data) for item in EVENTS[:count]) for count in range(len(EVENTS))]


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse(data)


@given(st.binary(max_size=80), st.integers(0, 500), st.booleans())
def test_any_bytes_inside_a_log(data: bytes, at: int, insert: bool) -> None:
    log = render_event_log(EVENTS, size=600)
    with contextlib.suppress(FormatError):
        replay(parse(log[:at] + data + log[at if insert else at + len(data) :]))


def test_a_refusal_says_where_the_event_starts() -> None:
    first = len(render_event_log(EVENTS[:1], size=0))
    for events, start in (((dataclasses.replace(EVENTS[0], register=9),), START), ((EVENTS[0], event(7, "x")), first)):
        with pytest.raises(FormatError, match=f"register 1 to 4 at {start}, got register"):
            parse(render_event_log(events))
