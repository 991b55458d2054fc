"""The final manifest: what Gramine's tools make of ours is accepted, and one test for each rule that refuses."""

from __future__ import annotations

import copy
import re
import runpy
import time
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from lamslsa.enclave import manifest
from lamslsa.enclave.files import Interpreter, gather
from lamslsa.enclave.manifest import BUILDS, Build, parse_manifest
from lamslsa.enclave.template import Settings, render
from lamslsa.errors import FormatError

dumps = runpy.run_path(str(Path(__file__).with_name("fake_gramine.py")))["dumps"]
LIBSYSDB = {"uri": "file:/usr/lib/x86_64-linux-gnu/gramine/libsysdb.so", "sha256": "ab" * 32}
RUNTIME = "/usr/lib/x86_64-linux-gnu/gramine/runtime/glibc"


def template(which: Build, tiny: Interpreter, code: Path | None, settings: Settings | None = None) -> bytes:
    files = gather(tiny, code=code)
    return render(
        which,
        python=tiny.place,
        mounts=files.mounts,
        trusted=files.trusted,
        code=None if code is None else PurePosixPath(code),
        settings=settings,
    )


def completed(text: bytes) -> dict[str, Any]:
    """As Gramine 1.9 completes a template."""
    document = tomllib.loads(text.decode().replace("{{ gramine.runtimedir() }}", RUNTIME))
    document["loader"]["entrypoint"] = LIBSYSDB
    document["sgx"] |= {"enable_stats": False, "use_exinfo": False}
    document["sgx"]["trusted_files"][0] = {"uri": f"file:{RUNTIME}/libc.so.6", "sha256": "cd" * 32}
    return document


@pytest.fixture(scope="module")
def measure(tiny: Interpreter) -> Mapping[str, Any]:
    return completed(template("measure", tiny, None))


@pytest.fixture
def train_own(tiny: Interpreter, code: Path) -> dict[str, Any]:
    return completed(template("train-own", tiny, code))


def parse(document: Mapping[str, Any]) -> manifest.FinalManifest:
    return parse_manifest(dumps(document).encode())


def refused(document: Mapping[str, Any], reason: str) -> None:
    with pytest.raises(FormatError) as error:
        parse(document)
    assert error.value.reason == f"enclave-manifest-{reason}"


def put(document: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    *tables, last = key.split(".")
    table = document
    for name in tables:
        table = table.setdefault(name, {})
    table[last] = value
    return document


def test_both_builds_are_accepted(measure: Mapping[str, Any], train_own: dict[str, Any], code: Path) -> None:
    plain = parse(measure)
    assert (plain.build, plain.svn, plain.edmm, plain.code) == ("measure", 1, False, None)
    own = parse(train_own)
    assert (own.build, own.code) == ("train-own", f"file:{code}")
    assert set(own.trusted) - set(plain.trusted) == {f"file:{code}/train.py", f"file:{code}/parts/__init__.py"}


def test_the_settings_are_in_it(tiny: Interpreter) -> None:
    settings = Settings(enclave_size="64G", edmm=True, max_threads=8, avx512="disabled", amx="required", svn=7)
    document = completed(template("measure", tiny, None, settings))
    found = parse(document)
    assert (found.svn, found.edmm) == (7, True)
    sgx = document["sgx"]
    assert (sgx["enclave_size"], sgx["max_threads"]) == ("64G", 8)
    assert (sgx["cpu_features"]["avx512"], sgx["cpu_features"]["amx"]) == ("disabled", "required")


WEAKENED: dict[str, list[Any]] = {
    "loader.entrypoint.uri": ["file:job/libsysdb.so", "file:/lib/evil.so", 1],
    "loader.entrypoint.sha256": ["AB" * 32, "ab", 1],
    "loader.argv": ["python"],
    "loader.log_level": ["debug", "trace", "all", "warning"],
    "libos.entrypoint": ["python3.11", "/python/bin/sh", "/out/python3.11", 1],
    "sys.stack.size": ["0M", "8M ", 8],
    "sys.disallow_subprocesses": [False, 1],
    "fs.root.type": ["chroot", "encrypted"],
    "fs.start_dir": ["/out", "/", "/run/lamslsa/../../out"],
    "fs.mounts": ["none"],
    "sgx.debug": [True, 0],
    "sgx.file_check_policy": ["allow_all_but_log", True],
    "sgx.remote_attestation": ["none", "epid"],
    "sgx.isvprodid": [0, 4, "1", True],
    "sgx.isvsvn": [-1, 65536, True, "1"],
    "sgx.max_threads": [3, 1025, "16"],
    "sgx.enclave_size": ["16", "0G", "100000G", "16g"],
    "sgx.edmm_enable": [1, "true"],
    "sgx.cpu_features.avx": ["unspecified", "disabled"],
    "sgx.cpu_features.avx512": ["unspecified"],
    "sgx.cpu_features.amx": ["unspecified"],
    "sgx.cpu_features.mpx": ["required"],
    "sgx.cpu_features.pkru": ["required"],
    "sgx.allowed_files": ["file:job/"],
    "sgx.trusted_files": ["file:/usr/"],
    "sgx.enable_stats": [True],
    "sgx.use_exinfo": [True],
}


def test_every_key_has_its_tests() -> None:
    assert set(WEAKENED) == set(manifest._RULES)


@pytest.mark.parametrize(
    ("key", "value"), [pytest.param(k, v, id=f"{k}={v!r}") for k, values in WEAKENED.items() for v in values]
)
def test_a_weaker_value_is_refused(measure: Mapping[str, Any], key: str, value: Any) -> None:
    refused(put(copy.deepcopy(dict(measure)), key, value), "value")


def _take(document: dict[str, Any], key: str) -> dict[str, Any]:
    first, *rest = key.split(".")
    kept = dict(document)
    if rest:
        kept[first] = _take(kept[first], ".".join(rest))
    if not rest or not kept[first]:
        del kept[first]
    return kept


@pytest.mark.parametrize("key", sorted(set(manifest._RULES) - {"sgx.enable_stats", "sgx.use_exinfo"}))
def test_a_missing_key_is_refused(measure: Mapping[str, Any], key: str) -> None:
    refused(_take(dict(measure), key), "missing")


def test_an_empty_table_is_no_key(measure: Mapping[str, Any]) -> None:
    refused(dict(measure) | {"libos": {}}, "key")


def test_what_gramine_adds_by_default_may_be_missing(measure: Mapping[str, Any]) -> None:
    document = copy.deepcopy(dict(measure))
    del document["sgx"]["enable_stats"], document["sgx"]["use_exinfo"]
    assert parse(document).build == "measure"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("loader.insecure__use_cmdline_argv", True),
        ("loader.insecure__use_cmdline_argv", False),
        ("loader.insecure__use_host_env", True),
        ("loader.insecure__disable_aslr", True),
        ("loader.argv_src_file", "file:job/argv"),
        ("loader.env_src_file", "file:job/env"),
        ("loader.log_file", "/out/log"),
        ("loader.uid", 1000),
        ("sys.insecure__allow_eventfd", True),
        ("sys.enable_sigterm_injection", True),
        ("sys.enable_extra_runtime_domain_names_conf", True),
        ("sys.debug__mock_syscalls", [{"name": "open"}]),
        ("sys.allowed_ioctls", [{"request_code": 1}]),
        ("fs.insecure__keys.default", "00" * 16),
        ("fs.root.uri", "file:/"),
        ("sgx.insecure__rpc_thread_num", 1),
        ("sgx.insecure__allow_memfaults_without_exinfo", True),
        ("sgx.profile.enable", "all"),
        ("sgx.vtune_profile", True),
        ("sgx.preheat_enclave", True),
        ("sgx.seal_key.flags_mask", "0x00"),
        ("sgx.protected_files", ["file:x"]),
        ("libos.check_invalid_pointers", False),
        ("added_by_gramine_3", True),
        ("added.by.gramine_3", 1),
        ("sgx.added", {}),
    ],
)
def test_an_unknown_key_is_refused(measure: Mapping[str, Any], key: str, value: Any) -> None:
    refused(put(copy.deepcopy(dict(measure)), key, value), "key")


@pytest.mark.parametrize(
    "change",
    [
        {"LD_PRELOAD": "/data/evil.so"},
        {"OMP_NUM_THREADS": "2"},
        {"TZ": {"passthrough": True}},
        {"PATH": {"value": "/bin"}},
        {"TZ": ["UTC"]},
    ],
)
def test_another_environment_is_refused(measure: Mapping[str, Any], change: dict[str, Any]) -> None:
    document = copy.deepcopy(dict(measure))
    document["loader"]["env"] |= change
    refused(document, "environment")


def test_a_variable_left_out_is_refused(measure: Mapping[str, Any]) -> None:
    document = copy.deepcopy(dict(measure))
    del document["loader"]["env"]["OMP_NUM_THREADS"]
    refused(document, "environment")


@pytest.mark.parametrize(
    "allowed",
    [
        ["file:job/", "file:data/", "file:out/", "file:/packages/"],
        ["file:job/", "file:data/"],
        ["file:/", "file:data/", "file:out/"],
        ["file:./", "file:data/", "file:out/"],
        [],
    ],
)
def test_other_allowed_files_are_refused(measure: Mapping[str, Any], allowed: list[str]) -> None:
    refused(put(copy.deepcopy(dict(measure)), "sgx.allowed_files", allowed), "allowed")


@pytest.mark.parametrize(
    "mount",
    [
        {"path": "/etc", "uri": "file:/etc"},
        {"path": "/", "uri": "file:/usr"},
        {"path": "/proc/self", "uri": "file:/usr"},
        {"path": "/dev", "uri": "file:/usr"},
        {"path": "/libs/x", "uri": "file:/proc"},
        {"path": "/usr", "uri": "file:/usr"},
        {"path": "/libs/x", "uri": "file:/proc/1/root"},
        {"path": "/libs/x", "uri": "file:/"},
        {"path": "/libs/x", "uri": "file:usr"},
        {"path": "/libs/x", "uri": "dev:/usr"},
        {"path": "/libs/x", "uri": "file:/usr/../etc"},
        {"path": "/libs/x", "uri": "file://usr"},
        {"path": "usr", "uri": "file:/usr"},
        {"path": "/usr/./x", "uri": "file:/usr"},
        {"path": "/usr/../x", "uri": "file:/usr"},
        {"path": "/out", "uri": "file:/usr"},
        {"path": "/job/more", "uri": "file:/usr"},
        {"path": "/job", "uri": "file:data"},
        {"path": "/packages", "uri": "file:/other"},
        {"path": "/libs/x", "uri": "file:/usr", "type": "encrypted"},
        {"path": "/libs/x", "uri": "file:/usr", "type": "encrypted", "key_name": "default"},
        {"path": "/libs/x", "uri": "file:/usr", "type": "untrusted_shm"},
        {"path": "/libs/x", "uri": "file:/usr", "more": 1},
        {"path": "/usr", "type": "tmpfs"},
        {"path": "/tmp", "type": "tmpfs", "uri": "file:/usr"},
        {"path": "/tmp", "type": "tmpfs"},
        {"path": 1, "uri": "file:/usr"},
        {"path": "/usr"},
        "file:/usr",
    ],
    ids=str,
)
def test_another_mount_is_refused(measure: Mapping[str, Any], mount: Any) -> None:
    document = copy.deepcopy(dict(measure))
    document["fs"]["mounts"].append(mount)
    refused(document, "mounts")


@pytest.mark.parametrize("path", ["/job", "/data", "/out", "/tmp", "/run/lamslsa"])
def test_every_folder_that_belongs_there_is_there(measure: Mapping[str, Any], path: str) -> None:
    document = copy.deepcopy(dict(measure))
    document["fs"]["mounts"] = [mount for mount in document["fs"]["mounts"] if mount["path"] != path]
    refused(document, "mounts")


def test_a_mount_may_say_that_it_is_one_of_the_host(measure: Mapping[str, Any]) -> None:
    document = copy.deepcopy(dict(measure))
    document["fs"]["mounts"][0]["type"] = "chroot"
    assert parse(document).build == "measure"


@pytest.mark.parametrize(
    "entry",
    [
        "file:/usr/lib/libz.so",
        {"uri": "file:/usr/lib/libz.so"},
        {"uri": "file:/usr/lib/", "sha256": "ab" * 32},
        {"uri": "file:job/evil.py", "sha256": "ab" * 32},
        {"uri": "file:/usr/lib/libz.so", "sha256": "ab"},
        {"uri": "file:/usr/lib/libz.so", "sha256": "AB" * 32},
        {"uri": "file:/usr/../libz.so", "sha256": "ab" * 32},
        {"uri": "file:/sys/kernel", "sha256": "ab" * 32},
        {"uri": "file:/usr/lib/libz.so", "sha256": "ab" * 32, "more": 1},
        {"uri": f"file:{RUNTIME}/libc.so.6", "sha256": "ef" * 32},
        {"uri": f"file:{RUNTIME}/libc.so.6", "sha256": "cd" * 32},
    ],
    ids=str,
)
def test_a_trusted_file_is_named_with_its_digest(measure: Mapping[str, Any], entry: Any) -> None:
    document = copy.deepcopy(dict(measure))
    document["sgx"]["trusted_files"].append(entry)
    refused(document, "trusted")


def test_trusted_files_are_counted(measure: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_MAX_TRUSTED", 3)
    refused(measure, "trusted")


ARGV: list[Callable[[list[str]], list[str]]] = [
    lambda argv: [*argv, "--evil"],
    lambda argv: argv[:-1],
    lambda argv: [argv[0], *argv[2:]],
    lambda argv: [argv[0], "-c", "import evil"],
    lambda argv: [*argv[:-1], "/job/entry.py"],
    lambda argv: [*argv[:-1], "/packages/lamslsa/enclave/entry_own.py"],
    lambda argv: ["/usr/bin/python3", *argv[1:]],
]


@pytest.mark.parametrize("change", ARGV)
def test_other_arguments_are_refused(measure: Mapping[str, Any], change: Callable[[list[str]], list[str]]) -> None:
    document = copy.deepcopy(dict(measure))
    document["loader"]["argv"] = change(document["loader"]["argv"])
    refused(document, "argv")


def _without(document: dict[str, Any], ending: str) -> dict[str, Any]:
    files = document["sgx"]["trusted_files"]
    kept = [file for file in files if not file["uri"].endswith(ending)]
    assert len(kept) < len(files)
    document["sgx"]["trusted_files"] = kept
    return document


@pytest.mark.parametrize("ending", ["/bin/python3.11", "/lamslsa/enclave/entry.py"])
def test_what_starts_is_trusted(measure: Mapping[str, Any], ending: str) -> None:
    refused(_without(copy.deepcopy(dict(measure)), ending), "start")


def test_an_inner_mount_decides_what_starts(measure: Mapping[str, Any]) -> None:
    document = copy.deepcopy(dict(measure))
    document["fs"]["mounts"].append({"path": "/packages/lamslsa", "uri": "file:/elsewhere/lamslsa"})
    refused(document, "start")


def test_own_code_stays_in_its_build(measure: Mapping[str, Any], train_own: dict[str, Any]) -> None:
    document = copy.deepcopy(dict(measure))
    document["fs"]["mounts"].append({"path": "/code", "uri": "file:/somewhere"})
    refused(document, "code")
    refused(_without(copy.deepcopy(train_own), "/code/train.py"), "code")
    train_own["fs"]["mounts"] = [mount for mount in train_own["fs"]["mounts"] if mount["path"] != "/code"]
    refused(train_own, "code")


def test_the_builds_do_not_pass_for_each_other(measure: Mapping[str, Any]) -> None:
    refused(put(copy.deepcopy(dict(measure)), "sgx.isvprodid", 2), "argv")


@pytest.mark.parametrize(
    "data",
    [
        b"sgx = ",
        b"a = 1\na = 2",
        "# ü".encode(),
        b'"sgx.debug" = false',
        b'[sgx]\n"de\\u0062ug-" = 1',
        b"a = " + b"[" * 5000 + b"]" * 5000,
        b"#" * (manifest.MAX_MANIFEST_BYTES + 1),
    ],
    ids=["value", "twice", "not-ascii", "dotted", "odd", "deep", "large"],
)
def test_it_is_plain_toml(data: bytes) -> None:
    with pytest.raises(FormatError) as error:
        parse_manifest(data)
    assert error.value.reason == "enclave-manifest-syntax"


@pytest.mark.parametrize(
    "data",
    [
        b"a." * 64 + b"a = 1\n",
        b"[" + b"a . " * 20_000 + b"a]\n",
        b"'a'." * 20_000 + b"a = 1\n",
        b'"a\\"".' * 20_000 + b"a = 1\n",
        b"a = { " + b'"" . ' * 20_000 + b"a = 1 }\n",
    ],
)
def test_a_key_of_very_many_names_never_reaches_the_parser(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tomllib, "loads", None)
    test_it_is_plain_toml(data)


@pytest.mark.parametrize(
    "text", [b'\\"', b'"', b"'", b'\\\\"', b'" "', b'"."', b"a", b"a.", b"a\\", b'"a".' * 63 + b"= "]
)
def test_the_search_for_long_keys_takes_linear_time(text: bytes) -> None:
    started = time.thread_time()
    with pytest.raises(FormatError):
        parse_manifest(b'"' + text * (200_000 // len(text)))
    assert time.thread_time() - started < 2


@pytest.mark.parametrize("opening", [b"[", b"{ a = ", b"{ a.a.a.a.a.a.a.a = "])
@pytest.mark.parametrize("levels", [16, 120])
def test_the_nesting_is_bounded(opening: bytes, levels: int) -> None:
    closing = b"]" if opening == b"[" else b" }"
    test_it_is_plain_toml(b"fs.mounts = " + opening * levels + b"1" + closing * levels)


@pytest.mark.parametrize(("levels", "reason"), [(14, "mounts"), (15, "syntax")])
def test_how_deep_it_may_be(measure: Mapping[str, Any], levels: int, reason: str) -> None:
    value: Any = "deep"
    for _ in range(levels):
        value = [value]
    refused(put(copy.deepcopy(dict(measure)), "fs.mounts", value), reason)


@pytest.mark.parametrize("which", BUILDS)
def test_the_same_installation_gives_the_same_bytes(which: Build, tiny: Interpreter, code: Path) -> None:
    chosen = code if which == "train-own" else None
    files = gather(tiny, code=chosen)
    first = template(which, tiny, chosen)
    again = render(
        which,
        python=tiny.place,
        mounts=files.mounts[::-1],
        trusted=files.trusted[::-1],
        code=None if chosen is None else PurePosixPath(chosen),
    )
    assert again == first
    uris = re.findall(rb'uri = "(file:/[^"]+)", sha256', first)
    assert uris == sorted(uris)


@pytest.mark.parametrize("path", ["/a/{{ x }}", '/a"b', "/a\\b", "/ä", "/a\nb", "/a'b", "/a%b", "/a{b"])
def test_a_path_that_means_something_else_is_refused(tiny: Interpreter, path: str) -> None:
    with pytest.raises(FormatError) as error:
        render("train-own", python=tiny.place, mounts=(), trusted=(), code=PurePosixPath(path))
    assert error.value.reason == "enclave-path"


@pytest.mark.parametrize(("which", "code"), [("measure", PurePosixPath("/code")), ("train-own", None)])
def test_code_goes_into_its_build_only(which: Build, code: PurePosixPath | None) -> None:
    with pytest.raises(FormatError) as error:
        render(which, python=PurePosixPath("/python"), mounts=(), trusted=(), code=code)
    assert error.value.reason == "enclave-code"


@pytest.mark.parametrize("size", ["", "3X", "16", "0G", "16GB", "G", "-1G", "123456G", "16G\n"])
def test_a_size_that_no_manifest_may_have(size: str) -> None:
    with pytest.raises(FormatError) as caught:
        Settings(enclave_size=size)
    assert caught.value.reason == "enclave-size"
