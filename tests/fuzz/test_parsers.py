"""Any bytes give a value or a `LamslsaError`, at once; and what a verifier takes is what was signed.

`make test` tries a few hundred mutated inputs a target, half of them from a fixed seed and half from a fresh one, which
stands in the header of the run and can be given again in LAMSLSA_FUZZ_SEED. `make fuzz` looks for longer, guided by
coverage (run_atheris.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import time
from collections.abc import Iterator
from functools import cache

import pytest

from lamslsa.errors import FormatError
from lamslsa.evidence._cbor import Tagged, loads
from tests.fuzz import run_atheris, seeds
from tests.fuzz.mutate import Mutator, encode_cbor, join, split
from tests.fuzz.parsers import statements
from tests.fuzz.targets import TARGETS, Target

SECONDS = 1.0
LARGE = 64 * 1024
SWID = b'<SoftwareIdentity xmlns="http://standards.iso.org/iso/19770/-2/2015/schema.xsd">'
LONG = {
    "zeros": bytes(LARGE),
    "ones": b"\xff" * LARGE,
    "lines": b"\n" * LARGE,
    "digits": b"1" * LARGE,
    "json-lists": b"[" * LARGE,
    "json-objects": b'{"a":' * (LARGE // 5),
    "json-brackets-in-text": b'{"a":"' + b"[" * 4000 + b"]" * LARGE + b'"}',
    "json-quotes": b'{"' + b'\\"' * (LARGE // 2),
    "json-keys": b"{" + b",".join(b'"%d":0' % number for number in range(LARGE // 10)) + b"}",
    "cbor-lists": b"\x81" * LARGE,
    "cbor-tags": b"\xc1" * LARGE,
    "cbor-many": b"\x9a" + LARGE.to_bytes(4, "big") + bytes(LARGE),
    "cbor-more-than-there-is": b"\x9b" + b"\xff" * 8,
    "pem-begins": b"-----BEGIN CERTIFICATE-----\n" * (LARGE // 28),
    "pem-without-end": b"-----BEGIN CERTIFICATE-----\n" + b"A" * LARGE,
    "pem-many": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" * (LARGE // 60),
    "der-sequences": b"\x30\x80" * (LARGE // 2),
    "der-lengths": b"\x30\x84\x7f\xff\xff\xff" * (LARGE // 6),
    "xml-deep": b"<a>" * (LARGE // 3),
    "xml-wide": SWID + b"<a/>" * (LARGE // 4) + b"</SoftwareIdentity>",
    "xml-attributes": b"<a " + b" ".join(b'a%d=""' % number for number in range(LARGE // 8)) + b"/>",
    "toml-names": b"a." * (LARGE // 2) + b"a = 1",
    "toml-table-names": b"[" + b"a." * (LARGE // 2) + b"a]",
    "toml-tables": b"a = " + b"{ a = " * (LARGE // 6),
    "toml-underscores": b"a = " + b"1_" * (LARGE // 2),
    "note-signatures": b"a\n1\n" + b"A" * 43 + b"=\n\n" + "\u2014 a AAAAAAAA\n".encode() * (LARGE // 16),
    "link-openings": b"<>;" * (LARGE // 3),
    "link-relations": b"<>; rel=" * (LARGE // 8),
    "witnesses": b"group g any " + b"a " * (LARGE // 2) + b"\n",
}


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> Target:
    _import(request.param)
    return TARGETS[request.param]


@cache
def _import(name: str) -> None:
    """What is imported late takes seconds, which is no input's fault."""
    TARGETS[name].run(TARGETS[name].seeds()[0])


def run(target: Target, data: bytes, where: str) -> bool:
    """Whether it is taken; a fault, or more time than there is for one input, fails."""
    started = time.thread_time()
    try:
        taken = target.run(data)
    except BaseException as err:
        if isinstance(err, KeyboardInterrupt):
            raise
        pytest.fail(f"{where}: {type(err).__name__}: {err}\n{data.hex()}")
    took = time.thread_time() - started
    assert took < SECONDS, f"{where}: {took:.1f} s for {len(data)} bytes"
    return taken


def mutations(target: Target, seed: int) -> Iterator[bytes]:
    originals = target.seeds()
    chooser = random.Random(seed)
    mutator = Mutator(chooser, seeds=originals, parts=target.parts)
    for _ in range(target.rounds):
        yield mutator.mutate(chooser.choice(originals))


def test_the_first_seed_is_taken(target: Target) -> None:
    assert run(target, target.seeds()[0], "a seed")
    assert all(len(seed) <= target.max_bytes for seed in target.seeds())


@pytest.mark.parametrize("fresh", [False, True], ids=["seeded", "fresh"])
def test_mutations(target: Target, fresh: bool) -> None:
    seed = int(os.environ["LAMSLSA_FUZZ_SEED"]) if fresh else 20261122
    for number, data in enumerate(mutations(target, seed)):
        run(target, data, f"mutation {number} of seed {seed}")


def test_long_inputs(target: Target) -> None:
    for name, data in LONG.items():
        run(target, join(*[data] * target.parts) if target.parts > 1 else data, name)


def test_evidence_in_the_seeds_is_authentic() -> None:
    for payload in seeds.statements()[:2]:
        result = statements(payload)
        assert isinstance(result, tuple)
        assert result[1] is not None


def test_a_fault_is_told() -> None:
    def fall(_: bytes) -> None:
        raise ValueError("a fault")

    with pytest.raises(pytest.fail.Exception, match=r"here: ValueError: a fault\n6162"):
        run(Target(take=fall, seeds=list), b"ab", "here")


@pytest.mark.parametrize("name", ["verify-sgx", "verify-snp", "verify-nitro", "verify-gpu", "sigstruct", "corim"])
def test_the_same_seed_gives_the_same_mutations(name: str) -> None:
    target = TARGETS[name]
    assert list(mutations(target, 1)) == list(mutations(target, 1)) != list(mutations(target, 2))


def mutated(data: bytes, count: int = 300) -> list[bytes]:
    mutator = Mutator(random.Random(1))
    return [mutator.mutate(data) for _ in range(count)]


def test_cbor_is_spelled_as_it_is_read() -> None:
    value = {1: b"abcdef", "a": [Tagged(32, "text"), None, True, -5]}
    assert loads(encode_cbor(value), what="input") == value


def test_layers_are_closed_again() -> None:
    """Most mutations of JSON are JSON, and some of those have other CBOR inside."""
    inside = encode_cbor({1: b"abcdef", 2: b"ghijkl"})
    documents = []
    for data in mutated(json.dumps({"hex": inside.hex()}).encode()):
        with contextlib.suppress(ValueError):
            documents.append(json.loads(data))
    assert len(documents) > 150
    texts = {item["hex"] for item in documents if isinstance(item, dict) and isinstance(item.get("hex"), str)}
    others = set()
    for text in texts - {inside.hex()}:
        with contextlib.suppress(ValueError, FormatError):
            others.add(str(loads(bytes.fromhex(text), what="input")))
    assert len(others) > 20


def test_parts() -> None:
    assert split(join(b"", b"ab", b"c"), 3) == [b"", b"ab", b"c"]
    assert split(b"", 2) == [b"", b""]
    assert split(b"\xff\xff\xff\xffab", 2) == [b"ab", b""]
    assert split(join(b"ab")[:-1], 1) == [b"a"]


def test_without_atheris(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr("sys.argv", ["run_atheris.py", "all"])
    assert run_atheris.main() == 2
    assert "pip install --group fuzz" in capsys.readouterr().out
