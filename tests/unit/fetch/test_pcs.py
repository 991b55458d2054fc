from __future__ import annotations

import datetime as dt
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamslsa import _codec
from lamslsa.errors import FormatError, LamslsaError, UnavailableError
from lamslsa.evidence import collateral as endorsements
from lamslsa.fetch.cache import Fetcher
from lamslsa.fetch.http import HttpClient
from lamslsa.fetch.interface import IntelPlatform, Response
from lamslsa.fetch.pcs import INTEL_PCS, ProvisioningService, cut
from lamslsa.testing.provisioning import Answer, FakePccs, Instead
from lamslsa.testing.simulated import SimulatedVendor

FMSPC = b"SIM\0\0\0".hex()
PLATFORM = IntelPlatform(tee="sgx", fmspc=FMSPC, ca="platform")
# The order in which the four answers are asked for.
TCB, IDENTITY, PCK_LIST, ROOT_LIST = range(4)


@pytest.fixture
def service(pccs: FakePccs, fetcher: Fetcher) -> ProvisioningService:
    return ProvisioningService(fetcher, base=pccs.url)


def right(pccs: FakePccs) -> list[Answer]:
    return [
        pccs.answer(f"/sgx/certification/v4/{target}")
        for target in (f"tcb?fmspc={FMSPC.upper()}", "qe/identity", "pckcrl?ca=platform", "rootcacrl")
    ]


def served(pccs: FakePccs, which: int, *, body: bytes | None = None, headers: dict[str, str] | None = None) -> None:
    """Have one of the four answers replaced, and the others right."""
    answers = right(pccs)
    old = answers[which]
    answers[which] = Answer(
        body=old.body if body is None else body, headers=old.headers if headers is None else headers
    )
    pccs.faults = [Instead(answer) for answer in answers]


def refused(service: ProvisioningService, platform: IntelPlatform = PLATFORM) -> LamslsaError:
    with pytest.raises(LamslsaError) as caught:
        service.collateral(platform)
    return caught.value


@pytest.mark.parametrize("hexadecimal", [True, False])
def test_the_very_collateral_that_the_vendor_made(
    vendor: SimulatedVendor, fetcher: Fetcher, now: dt.datetime, hexadecimal: bool
) -> None:
    made = vendor.collateral(crl_window=(now, now + dt.timedelta(days=3)))
    with FakePccs(made, hexadecimal=hexadecimal) as server:
        fetched = ProvisioningService(fetcher, base=server.url).collateral(PLATFORM)
        assert fetched.data == made
        assert fetched.root == vendor.root.sha256
        assert fetched.expires == now + dt.timedelta(days=3)
        assert fetched.platform == PLATFORM
        assert server.requests == [
            f"/sgx/certification/v4/tcb?fmspc={FMSPC.upper()}&update=standard",
            "/sgx/certification/v4/qe/identity?update=standard",
            "/sgx/certification/v4/pckcrl?ca=platform&encoding=der",
            "/sgx/certification/v4/rootcacrl",
        ]


def test_early_and_a_base_with_its_path(vendor: SimulatedVendor, fetcher: Fetcher) -> None:
    with FakePccs(vendor.collateral()) as server:
        base = server.url + "/sgx/certification/v4/"
        ProvisioningService(fetcher, base=base, update="early").collateral(PLATFORM)
        assert [target.endswith("update=early") for target in server.requests] == [True, True, False, False]


def test_tdx_is_asked_for_beside_sgx(vendor: SimulatedVendor, fetcher: Fetcher) -> None:
    made = vendor.collateral(tcb_info={"id": "TDX"}, qe_identity={"id": "TD_QE"})
    with FakePccs(made) as server:
        fetched = ProvisioningService(fetcher, base=server.url).collateral(
            IntelPlatform(tee="tdx", fmspc=FMSPC, ca="platform")
        )
        assert fetched.data == made
        assert [target.split("?")[0] for target in server.requests] == [
            "/tdx/certification/v4/tcb",
            "/tdx/certification/v4/qe/identity",
            "/sgx/certification/v4/pckcrl",
            "/sgx/certification/v4/rootcacrl",
        ]


class Recorder:
    """A client that stands in front of a fake server for Intel's names."""

    def __init__(self, pccs: FakePccs) -> None:
        self.urls: list[str] = []
        self._pccs = pccs

    def get(self, url: str, *, limit: int) -> Response:
        self.urls.append(url)
        target = url.removeprefix(INTEL_PCS)
        if target.endswith("IntelSGXRootCA.der"):
            target = "/sgx/certification/v4/rootcacrl"
        return HttpClient().get(self._pccs.url + target, limit=limit)


def test_intels_own_service(vendor: SimulatedVendor, now: dt.datetime) -> None:
    with FakePccs(vendor.collateral(), hexadecimal=False) as server:
        recorder = Recorder(server)
        ProvisioningService(Fetcher(recorder, now=now)).collateral(PLATFORM)
    assert recorder.urls == [
        f"https://api.trustedservices.intel.com/sgx/certification/v4/tcb?fmspc={FMSPC.upper()}&update=standard",
        "https://api.trustedservices.intel.com/sgx/certification/v4/qe/identity?update=standard",
        "https://api.trustedservices.intel.com/sgx/certification/v4/pckcrl?ca=platform&encoding=der",
        "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der",
    ]


def test_a_platform_that_the_server_does_not_know(service: ProvisioningService) -> None:
    error = refused(service, IntelPlatform(tee="sgx", fmspc="0" * 12, ca="platform"))
    assert (type(error), error.reason) == (UnavailableError, "fetch-not-found")


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]", b"null", b"\x30\x82\xff\xff", b"00", b"\xff" * 40])
def test_garbage(pccs: FakePccs, service: ProvisioningService, which: int, body: bytes) -> None:
    served(pccs, which, body=body)
    error = refused(service)
    assert type(error) is FormatError
    assert pccs.url in str(error)
    assert len(pccs.requests) == which + 1, "garbage is not asked for twice"


@pytest.mark.parametrize("which", range(4))
def test_caps(pccs: FakePccs, service: ProvisioningService, which: int) -> None:
    served(pccs, which, body=b" " * (2 * 1024 * 1024 + 1))
    assert refused(service).reason == "fetch-size"


@pytest.mark.parametrize("which", [TCB, IDENTITY, PCK_LIST])
@pytest.mark.parametrize(
    "chain",
    [
        "",
        "none",
        "%ff",
        quote("-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n"),
        quote("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n" * 1200),
    ],
)
def test_chains_that_are_none(pccs: FakePccs, service: ProvisioningService, which: int, chain: str) -> None:
    (name,) = right(pccs)[which].headers
    served(pccs, which, headers={name: chain})
    assert isinstance(refused(service), FormatError | UnavailableError)
    served(pccs, which, headers={})
    assert refused(service).reason == "fetch-answer"


def test_spellings_of_chains(pccs: FakePccs, service: ProvisioningService, vendor: SimulatedVendor) -> None:
    pem = json.loads(vendor.collateral())["tcb_info_issuer_chain"]
    for text, name in (
        (pem.replace("\n", "\r\n"), "TCB-Info-Issuer-Chain"),
        (pem.rstrip("\n"), "tcb-info-issuer-chain"),
        (pem, "SGX-TCB-Info-Issuer-Chain"),
    ):
        served(pccs, TCB, headers={name: quote(text)})
        assert endorsements.parse(service.collateral(PLATFORM).data).tcb_info_issuer_chain == pem


def edited(answer: Answer, key: str, **members: Any) -> bytes:
    document = json.loads(answer.body)
    document[key] |= members
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("which", "key", "members", "reason"),
    [
        (TCB, "tcbInfo", {"fmspc": "000000000000"}, "fetch-mismatch"),
        (TCB, "tcbInfo", {"fmspc": None}, "fetch-mismatch"),
        (TCB, "tcbInfo", {"id": "TDX"}, "fetch-mismatch"),
        (TCB, "tcbInfo", {"nextUpdate": "soon"}, "fetch-answer"),
        (TCB, "tcbInfo", {"nextUpdate": 7}, "fetch-answer"),
        (TCB, "tcbInfo", {"nextUpdate": "2026-12-22T06:00:00"}, "fetch-answer"),
        (TCB, "tcbInfo", {"version": 2}, "collateral-version"),
        (IDENTITY, "enclaveIdentity", {"id": "TD_QE"}, "fetch-mismatch"),
        (IDENTITY, "enclaveIdentity", {"nextUpdate": ""}, "fetch-answer"),
    ],
)
def test_another_answer(
    pccs: FakePccs, service: ProvisioningService, which: int, key: str, members: dict[str, Any], reason: str
) -> None:
    served(pccs, which, body=edited(right(pccs)[which], key, **members))
    assert refused(service).reason == reason


@pytest.mark.parametrize("signature", [None, 7, "zz", ""])
def test_a_signature_that_is_none(pccs: FakePccs, service: ProvisioningService, signature: object) -> None:
    document = json.loads(right(pccs)[TCB].body) | {"signature": signature}
    served(pccs, TCB, body=json.dumps(document).encode())
    assert isinstance(refused(service), FormatError)


def test_lists_of_another_ca(pccs: FakePccs, service: ProvisioningService) -> None:
    answers = right(pccs)
    pccs.faults = [Instead(answer) for answer in answers]
    error = refused(service, IntelPlatform(tee="sgx", fmspc=FMSPC, ca="processor"))
    assert error.reason == "fetch-mismatch"
    pccs.faults = []
    served(pccs, PCK_LIST, body=answers[ROOT_LIST].body)
    assert refused(service).reason == "fetch-mismatch"


def test_a_quoted_list(pccs: FakePccs, service: ProvisioningService, vendor: SimulatedVendor) -> None:
    served(pccs, ROOT_LIST, body=b'"' + right(pccs)[ROOT_LIST].body.upper() + b'"\n')
    assert service.collateral(PLATFORM).root == vendor.root.sha256


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(
    before=st.dictionaries(st.text(), JSON, max_size=3),
    after=st.dictionaries(st.text(), JSON, max_size=3),
    value=JSON,
    indent=st.sampled_from([None, 0, 3]),
)
def test_cut_gives_the_bytes_that_stand_there(
    before: dict[str, Any], after: dict[str, Any], value: Any, indent: int | None
) -> None:
    members = {name: item for name, item in (before | after).items() if name != "wanted"}
    middle = len(members) // 2
    pairs = [*list(members.items())[:middle], ("wanted", value), *list(members.items())[middle:]]
    written = json.dumps(value, indent=indent)
    rest = [f"{json.dumps(name)} :\t{written if name == 'wanted' else json.dumps(item)}" for name, item in pairs]
    text = " {\n" + " ,\r\n".join(rest) + "\n} "
    _codec.loads(text.encode())
    assert cut(text, "wanted") == written


def test_cut_keeps_a_spelling_that_no_serialiser_writes() -> None:
    assert cut('{"a": 1, "tcbInfo" : {"x":1.50e1,  "\\u0079":"\\/"} , "z":0}', "tcbInfo") == (
        '{"x":1.50e1,  "\\u0079":"\\/"}'
    )


@pytest.mark.parametrize("fmspc", ["", "00A067110000", "00a06711000", "00a0671100000", "../../etc/pa", "00a06711000\n"])
def test_families_that_are_none(fmspc: str) -> None:
    with pytest.raises(FormatError) as caught:
        IntelPlatform(tee="sgx", fmspc=fmspc, ca="platform")
    assert caught.value.reason == "fetch-platform"


@pytest.mark.parametrize("base", ["http://api.example", "api.example", ""])
def test_bases_that_must_not_be_asked(fetcher: Fetcher, base: str) -> None:
    with pytest.raises(FormatError) as caught:
        ProvisioningService(fetcher, base=base)
    assert caught.value.reason == "fetch-url"
