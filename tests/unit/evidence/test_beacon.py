"""Sources of beacons: what dates a nonce, and everything that does not."""

from __future__ import annotations

import base64
import datetime as dt
import random
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from lamslsa.errors import FormatError, LamslsaError, VerificationError
from lamslsa.evidence._note import COSIGNATURE, ED25519, Key
from lamslsa.evidence._pem import render_chain
from lamslsa.evidence.beacon import TimestampAuthority, WitnessedLog, refuse_other_than_beacon
from lamslsa.evidence.nonce import Beacon, Nonce
from lamslsa.evidence.verify import BeaconVerifier
from lamslsa.predicates.tee_evidence import BEACON_CHECKPOINT_MEDIA_TYPE, BEACON_TIMESTAMP_MEDIA_TYPE
from lamslsa.testing.beacons import Log, TimestampServer

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def stamped(data: bytes) -> Beacon:
    return Beacon(media_type=BEACON_TIMESTAMP_MEDIA_TYPE, data=data)


def noted(data: bytes) -> Beacon:
    return Beacon(media_type=BEACON_CHECKPOINT_MEDIA_TYPE, data=data)


def refused(source: BeaconVerifier, beacon: Beacon, reason: str, kind: type[LamslsaError] = VerificationError) -> None:
    with pytest.raises(LamslsaError) as caught:
        source.time(beacon)
    assert (type(caught.value), caught.value.reason) == (kind, reason)


def unreadable(load: Callable[[bytes], object], data: bytes, reason: str) -> None:
    with pytest.raises(FormatError) as caught:
        load(data)
    assert caught.value.reason == reason


@pytest.fixture(scope="module")
def server() -> TimestampServer:
    return TimestampServer(NOW)


@pytest.fixture(scope="module")
def authority(server: TimestampServer) -> TimestampAuthority:
    return TimestampAuthority.load(server.pem)


@pytest.fixture(scope="module")
def narrow(server: TimestampServer) -> TimestampAuthority:
    return TimestampAuthority.load(server.own_pem)


class TestTimestampAuthority:
    def test_time(self, server: TimestampServer, authority: TimestampAuthority, narrow: TimestampAuthority) -> None:
        beacon = Nonce.of_beacon(server.stamp(NOW)).beacon
        assert beacon is not None
        assert authority.time(beacon) == narrow.time(beacon) == NOW
        assert authority.time(beacon).tzinfo is not None

    def test_less_the_accuracy(self, server: TimestampServer, authority: TimestampAuthority) -> None:
        for accuracy, seconds in (((1, 500), 1.5), ((0, 1), 0.001), ((60, 1), 60.001), ((5, 0), 5)):
            beacon = stamped(server.stamp(NOW, accuracy=accuracy))
            assert authority.time(beacon) == NOW - dt.timedelta(seconds=seconds)

    def test_only_granted(self, server: TimestampServer, authority: TimestampAuthority) -> None:
        for status in (1, 2, 5):
            refused(authority, stamped(server.stamp(NOW, status=status)), "beacon-status")

    def test_another_authority(self, authority: TimestampAuthority, narrow: TimestampAuthority) -> None:
        for source in (authority, narrow):
            refused(source, stamped(TimestampServer(NOW).stamp(NOW)), "beacon-signature")

    def test_one_root_has_several_authorities(self, server: TimestampServer) -> None:
        """The one whose certificate the policy names, and no other one under the same root."""
        sibling = server.sibling(NOW)
        wide, narrow = TimestampAuthority.load(server.pem), TimestampAuthority.load(server.own_pem)
        assert wide.time(stamped(sibling.stamp(NOW))) == NOW
        refused(narrow, stamped(sibling.stamp(NOW)), "beacon-signature")

    @pytest.mark.parametrize("at", [NOW - 3 * DAY, NOW + DAY])
    def test_certificates_as_of_the_time_it_states(self, at: dt.datetime) -> None:
        server = TimestampServer(NOW, window=(NOW - 2 * DAY, NOW))
        authority = TimestampAuthority.load(server.pem)
        assert authority.time(stamped(server.stamp(NOW - DAY))) == NOW - DAY
        refused(authority, stamped(server.stamp(at)), "beacon-signature")

    def test_a_certificate_for_something_else(self) -> None:
        other = TimestampServer(NOW, usages=[x509.oid.ExtendedKeyUsageOID.CODE_SIGNING])
        optional = TimestampServer(NOW, critical=False)
        for server in (other, optional):
            refused(TimestampAuthority.load(server.pem), stamped(server.stamp(NOW)), "beacon-signature")

    def test_one_signer(
        self, server: TimestampServer, authority: TimestampAuthority, narrow: TimestampAuthority
    ) -> None:
        for signers in (0, 2):
            for carry in (True, False):
                for source in (authority, narrow):
                    beacon = stamped(server.stamp(NOW, signers=signers, carry=carry))
                    refused(source, beacon, "beacon-signature")

    def test_an_intermediate(self, server: TimestampServer) -> None:
        below, pem = server.below(NOW)
        own = render_chain([below.certificate.public_bytes(Encoding.DER)])
        for pinned in (pem, pem + own):
            assert TimestampAuthority.load(pinned).time(stamped(below.stamp(NOW))) == NOW
        refused(TimestampAuthority.load(server.pem), stamped(below.stamp(NOW)), "beacon-signature")

    def test_an_authority_that_does_not_say_it_is_no_ca(self) -> None:
        server = TimestampServer(NOW, constrained=False)
        assert TimestampAuthority.load(server.own_pem).time(stamped(server.stamp(NOW))) == NOW

    def test_a_certificate_that_does_not_travel(
        self, server: TimestampServer, authority: TimestampAuthority, narrow: TimestampAuthority
    ) -> None:
        bare = stamped(server.stamp(NOW, carry=False))
        assert narrow.time(bare) == NOW
        refused(authority, bare, "beacon-signature")

    def test_other_bytes(self, server: TimestampServer, authority: TimestampAuthority) -> None:
        good = server.stamp(NOW)
        for data in (good[:-1], good + b"\0", b"\x30\x00", b"\x30\x03\x02\x01\x00", b"x"):
            refused(authority, stamped(data), "beacon-timestamp", FormatError)
        refused(authority, stamped(b""), "beacon-size", FormatError)
        refused(authority, stamped(bytes(64 * 1024 + 1)), "beacon-size", FormatError)
        refused(authority, stamped(bytes(64 * 1024)), "beacon-timestamp", FormatError)
        refused(authority, Beacon(media_type="text/plain", data=good), "beacon-other")
        refused(authority, noted(good), "beacon-other")

    def test_no_byte_can_move_the_time(self, server: TimestampServer, authority: TimestampAuthority) -> None:
        good = server.stamp(NOW, accuracy=(1, 0))
        expected = authority.time(stamped(good))
        refusals = 0
        for place in range(len(good)):
            data = bytearray(good)
            data[place] ^= 1 << random.Random(place).randrange(8)
            try:
                assert authority.time(stamped(bytes(data))) == expected, "what is not signed says nothing"
            except LamslsaError:
                refusals += 1
        assert refusals > 0.95 * len(good)

    @settings(max_examples=200, deadline=None)
    @given(data=st.binary(max_size=300))
    def test_any_bytes(self, data: bytes, authority: TimestampAuthority) -> None:
        with pytest.raises(LamslsaError):
            authority.time(stamped(data))

    def test_what_a_policy_pins(self, server: TimestampServer) -> None:
        own = render_chain([server.certificate.public_bytes(Encoding.DER)])
        other = TimestampServer(NOW)
        for pem in (own, server.pem + other.pem, server.own_pem + own):
            unreadable(TimestampAuthority.load, pem, "beacon-authority")
        unreadable(TimestampAuthority.load, render_chain([b"no certificate"]), "beacon-authority")
        unreadable(TimestampAuthority.load, b"", "pem-chain")
        unreadable(TimestampAuthority.load, b"text\n" + server.pem, "pem-chain")
        unreadable(TimestampAuthority.load, bytes(64 * 1024 + 1), "beacon-authority")
        unreadable(TimestampAuthority.load, bytes(64 * 1024), "pem-chain")

    def test_a_root_that_another_signed(self, server: TimestampServer) -> None:
        """Subject and issuer alike make no root: its own signature does."""
        other = TimestampServer(NOW).root
        forged = bytearray(other.public_bytes(Encoding.DER))
        forged[-1] ^= 1
        unreadable(TimestampAuthority.load, render_chain([bytes(forged)]), "beacon-authority")


@pytest.fixture(scope="module")
def log() -> Log:
    return Log(witnesses=3)


def strangers(count: int) -> list[bytes]:
    return [Log.line(Key.of(f"n{number}", COSIGNATURE, bytes(32)), bytes(72)) for number in range(count)]


def all_of(log: Log) -> WitnessedLog:
    return WitnessedLog.load(log.policy("all"))


class TestWitnessedLog:
    def test_time(self, log: Log) -> None:
        beacon = Nonce.of_beacon(log.checkpoint({0: NOW, 1: NOW + DAY, 2: NOW + 2 * DAY})).beacon
        assert beacon is not None
        assert all_of(log).time(beacon) == NOW
        assert all_of(log).time(beacon).tzinfo is not None

    @pytest.mark.parametrize(
        ("needed", "expected"), [("any", NOW + 2 * DAY), ("1", NOW + 2 * DAY), ("2", NOW + DAY), ("3", NOW)]
    )
    def test_the_kth_latest(self, log: Log, needed: str, expected: dt.datetime) -> None:
        """No k - 1 witnesses that lie together can make a checkpoint look younger than some honest one saw it."""
        source = WitnessedLog.load(log.policy(needed))
        for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
            times = {0: NOW, 1: NOW + DAY, 2: NOW + 2 * DAY}
            assert source.time(noted(log.checkpoint({number: times[number] for number in order}))) == expected

    def test_a_quorum_is_needed(self, log: Log) -> None:
        for cosigned in ({}, {0: NOW}, {0: NOW, 1: NOW}):
            refused(all_of(log), noted(log.checkpoint(cosigned)), "beacon-quorum")
        refused(WitnessedLog.load(log.policy("any")), noted(log.checkpoint({})), "beacon-quorum")

    def test_groups_of_groups(self, log: Log) -> None:
        keys = "\n".join(f"witness {name} {key.vkey}" for name, key in zip("abc", log.witnesses, strict=True))
        source = WitnessedLog.load(
            f"# two groups\nlog {log.key.vkey} https://log.example\n\n{keys}\n"
            "group pair all a b\n\tgroup both 1 pair  c \nquorum both\n".encode()
        )
        assert source.time(noted(log.checkpoint({0: NOW, 1: NOW + DAY}))) == NOW
        assert source.time(noted(log.checkpoint({0: NOW, 2: NOW - DAY}))) == NOW - DAY
        assert source.time(noted(log.checkpoint({0: NOW, 1: NOW, 2: NOW + DAY}))) == NOW + DAY
        refused(source, noted(log.checkpoint({0: NOW})), "beacon-quorum")

    def test_a_single_witness_is_a_quorum(self, log: Log) -> None:
        text = f"log {log.key.vkey}\nwitness only {log.witnesses[1].vkey}\nquorum only\n"
        source = WitnessedLog.load(text.encode())
        assert source.time(noted(log.checkpoint({1: NOW, 0: NOW + DAY}))) == NOW

    def test_strangers_are_ignored(self, log: Log) -> None:
        many = log.checkpoint({0: NOW, 1: NOW, 2: NOW}) + b"".join(strangers(124))
        assert all_of(log).time(noted(many)) == NOW
        stranger = Key.of(log.witnesses[0].name, COSIGNATURE, bytes(32))
        data = log.checkpoint({0: NOW, 1: NOW, 2: NOW}) + Log.line(stranger, b"whatever")
        assert all_of(log).time(noted(data)) == NOW

    def test_the_log_has_to_sign(self, log: Log) -> None:
        cosigned = {0: NOW, 1: NOW, 2: NOW}
        refused(all_of(log), noted(log.checkpoint(cosigned, signed=False)), "beacon-log")
        other = Log(witnesses=3, origin="log.example/other")
        refused(all_of(log), noted(other.checkpoint(cosigned)), "beacon-log")

    def test_the_origin_is_the_name_of_the_log(self, log: Log) -> None:
        """A log that signs a checkpoint of another origin says nothing about that one."""
        renamed = Key.of("log.example/renamed", ED25519, log.key.public)
        keys = "".join(f"witness w{number} {key.vkey}\n" for number, key in enumerate(log.witnesses))
        source = WitnessedLog.load(f"log {renamed.vkey}\n{keys}group g all w0 w1 w2\nquorum g\n".encode())
        data = log.checkpoint({0: NOW, 1: NOW, 2: NOW})
        signature = data.split(b"\n\n")[1].split(b"\n")[0]
        blob = base64.b64decode(signature.split(b" ")[2])[4:]
        refused(source, noted(data + Log.line(renamed, blob)), "beacon-log")

    def test_signatures_are_over_the_whole_text(self, log: Log) -> None:
        good = log.checkpoint({0: NOW, 1: NOW, 2: NOW})
        refused(all_of(log), noted(good.replace(b"\n7\n", b"\n8\n", 1)), "beacon-signature")
        extended = good.replace(b"\n\n", b"\nan extension\n\n", 1)
        refused(all_of(log), noted(extended), "beacon-signature")
        elsewhere = log.text() + b"\n" + log.checkpoint({}).split(b"\n\n")[1]
        moved = log.checkpoint({0: NOW, 1: NOW, 2: NOW}, size=8).split(b"\n\n")[1].split(b"\n", 1)[1]
        refused(all_of(log), noted(elsewhere + moved), "beacon-signature")

    def test_a_cosignature_holds_for_its_time(self, log: Log) -> None:
        line = log.checkpoint({0: NOW}).split(b"\n\n")[1].split(b"\n")[1]
        blob = bytearray(base64.b64decode(line.split(b" ")[2])[4:])
        blob[7] ^= 1
        data = log.checkpoint({1: NOW, 2: NOW}) + Log.line(log.witnesses[0], bytes(blob))
        refused(WitnessedLog.load(log.policy("2")), noted(data), "beacon-signature")

    def test_sizes_of_signatures(self, log: Log) -> None:
        for key, blob in ((log.witnesses[0], bytes(71)), (log.witnesses[0], bytes(73)), (log.key, bytes(63))):
            signed = key is not log.key
            data = log.checkpoint({1: NOW, 2: NOW}, signed=signed) + Log.line(key, blob)
            refused(WitnessedLog.load(log.policy("2")), noted(data), "beacon-note", FormatError)

    def test_a_time_that_no_calendar_has(self, log: Log) -> None:
        late = log.cosignature(0, 253402300800)
        data = log.checkpoint({1: NOW, 2: NOW}) + late
        refused(WitnessedLog.load(log.policy("2")), noted(data), "beacon-time")
        last = log.checkpoint({}) + b"".join(log.cosignature(number, 253402300799) for number in range(3))
        assert all_of(log).time(noted(last)).year == 9999

    def test_other_bytes(self, log: Log) -> None:
        good = log.checkpoint({0: NOW, 1: NOW, 2: NOW})
        line = Log.line(log.witnesses[0], bytes(72))
        last = good.split(b"=\n\n")[0][-1:]
        alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        spelling = alphabet[alphabet.index(last) + 1 :][:1]
        good_hash, stray = last + b"=\n\n", spelling + b"=\n\n"
        for data in (
            good[:-1],
            good + b"\n",
            good.replace(b"\n\n", b"\n", 1),
            good.replace(b"\n7\n", b"\n07\n", 1),
            good.replace(b"\n7\n", b"\nseven\n", 1),
            good.replace(b"\n7\n", b"\n\n7\n", 1),
            good.replace(b"log.example", b"log\texample", 1),
            good.replace(b"log.example", b"log\xffexample", 1),
            good + b"no signature\n",
            good + line.replace(b" witness", b"  witness"),
            good + line.replace(b"witness.example", b"witness+example"),
            good + "\u2014 name AAAA\n".encode(),
            good + "\u2014 name ====\n".encode(),
            good + b"".join(strangers(125)),
            good + line,
            good.replace(good_hash, stray, 1),
            log.text().replace(b"=\n", b"\n") + b"\n" + good.split(b"\n\n")[1],
            b"origin\n7\nAAAA\n\n" + good.split(b"\n\n")[1],
        ):
            refused(all_of(log), noted(data), "beacon-note", FormatError)
        refused(all_of(log), stamped(good), "beacon-other")
        refused(all_of(log), noted(b""), "beacon-size", FormatError)

    @settings(max_examples=200, deadline=None)
    @given(data=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
    def test_any_bytes(self, data: bytes, log: Log) -> None:
        with pytest.raises(LamslsaError):
            all_of(log).time(noted(data))

    def test_no_byte_can_move_the_time(self, log: Log) -> None:
        good = log.checkpoint({0: NOW, 1: NOW, 2: NOW})
        for place in range(len(good)):
            data = bytearray(good)
            data[place] ^= 1 << random.Random(place).randrange(8)
            with pytest.raises(LamslsaError):
                all_of(log).time(noted(bytes(data)))

    def test_what_a_policy_pins(self, log: Log) -> None:
        good = log.policy()
        key, witness = f"log {log.key.vkey}\n".encode(), f"witness w0 {log.witnesses[0].vkey}\n".encode()
        for data in (
            b"",
            good[:-1],
            good.replace(key, b""),
            good.replace(b"quorum everybody", b"quorum none"),
            good.replace(b"quorum everybody", b"quorum nobody"),
            good.replace(b"quorum everybody\n", b""),
            good + b"quorum everybody\n",
            good + b"quorum\n",
            good + b"unknown line\n",
            good + key,
            good + witness,
            good + witness.replace(b"w0", b"other"),
            good.replace(b"witness w0", b"witness none"),
            good.replace(b"group everybody all", b"group w0 all"),
            good.replace(b"group everybody all", b"group everybody 0"),
            good.replace(b"group everybody all", b"group everybody 4"),
            good.replace(b"group everybody all", b"group everybody 01"),
            good.replace(b"group everybody all", b"group everybody most"),
            good.replace(b"w0 w1 w2", b""),
            good.replace(b"w0 w1 w2", b"w0 w1 w1"),
            good.replace(b"w0 w1 w2", b"w0 w1 w3"),
            good.replace(b"log ", b"log\x0b", 1),
            good.replace(b"log ", b"log \xff", 1),
            good.replace(b"quorum", b"#" + b"x" * 64 * 1024 + b"\nquorum"),
            b"".join(
                f"log {Key.of(str(number), ED25519, bytes([number] * 32)).vkey}\n".encode() for number in range(65)
            )
            + good,
        ):
            unreadable(WitnessedLog.load, data, "beacon-witnesses")

    def test_a_name_counts_once(self, log: Log) -> None:
        """Else one witness could stand for several."""
        twice = log.policy().replace(b"quorum", b"group other any everybody w0\nquorum")
        unreadable(WitnessedLog.load, twice, "beacon-witnesses")

    def test_keys(self, log: Log) -> None:
        name, key_id, material = log.key.vkey.split("+", 2)
        others = [
            log.witnesses[0].vkey,
            f"{name}+00000000+{material}",
            f"+{key_id}+{material}",
            f"{name}+{key_id}",
            f"{name}+{key_id}+{material[:-4]}",
            f"{name}+{key_id}+!{material[1:]}",
            Key.of("n" * 257, ED25519, log.key.public).vkey,
        ]
        for vkey in others:
            unreadable(WitnessedLog.load, log.policy().replace(log.key.vkey.encode(), vkey.encode()), "beacon-key")
        swapped = log.policy().replace(log.witnesses[0].vkey.encode(), log.key.vkey.encode())
        unreadable(WitnessedLog.load, swapped, "beacon-key")

    def test_a_name_may_be_long(self, log: Log) -> None:
        key = Key.of("n" * 256, ED25519, log.key.public)
        assert Key.parse(key.vkey, type_=ED25519) == key

    def test_keys_of_others(self) -> None:
        """A key of Go's signed notes, and that of a witness that exists: types and ids are as specified."""
        go = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
        assert Key.parse(go, type_=ED25519).vkey == go
        public = bytes.fromhex("dcbf728e02d479f5a7e20dc09adf525833ed6e797526517aeb07fc6854849fc6")
        assert Key.of("witness.navigli.sunlight.geomys.org", COSIGNATURE, public).id.hex() == "a3e00fe2"

    def test_a_key_of_another_type_is_named(self, log: Log) -> None:
        with pytest.raises(FormatError, match="of type 4, got one of type 1"):
            Key.parse(log.key.vkey, type_=COSIGNATURE)

    def test_each_name_is_given_once(self, log: Log) -> None:
        one, two, three = (key.vkey for key in log.witnesses)
        head = f"log {log.key.vkey}\n"
        for text in (
            f"witness none {one}\nquorum none\n",
            f"witness a {one}\nwitness a {two}\nquorum a\n",
            f"witness a {one}\nwitness b {two}\ngroup a any b\nquorum a\n",
            f"witness a {one}\nwitness b {two}\ngroup g any a\ngroup g any b\nquorum g\n",
            f"witness a {one}\nwitness b {two}\ngroup g any a b\nwitness g {three}\nquorum g\n",
        ):
            unreadable(WitnessedLog.load, (head + text).encode(), "beacon-witnesses")

    def test_limits(self, log: Log) -> None:
        good = log.policy()
        others = [f"log {Key.of(str(number), ED25519, bytes([number] * 32)).vkey}\n".encode() for number in range(64)]
        assert WitnessedLog.load(b"".join(others[:63]) + good)
        unreadable(WitnessedLog.load, b"".join(others) + good, "beacon-witnesses")
        padded = b"#" * (64 * 1024 - 1 - len(good)) + b"\n" + good
        assert len(padded) == 64 * 1024
        assert WitnessedLog.load(padded)
        unreadable(WitnessedLog.load, b"#" + padded, "beacon-witnesses")


class TestWhatNoncesAreMadeOf:
    def test_a_beacon_whoever_signed_it(self, server: TimestampServer) -> None:
        refuse_other_than_beacon(stamped(server.stamp(NOW)))
        refuse_other_than_beacon(noted(Log(witnesses=1).checkpoint({0: NOW})))

    @pytest.mark.parametrize("beacon", [stamped(b"0"), noted(b""), noted(b"a text\n"), stamped(b"a checkpoint")])
    def test_other_bytes(self, beacon: Beacon) -> None:
        with pytest.raises(FormatError):
            refuse_other_than_beacon(beacon)

    def test_a_timestamp_that_was_not_granted(self, server: TimestampServer) -> None:
        with pytest.raises(LamslsaError) as caught:
            refuse_other_than_beacon(stamped(server.stamp(NOW, status=2)))
        assert caught.value.reason == "beacon-status"
