"""The files of a confidential guest: every key of every unit is known here, and the scripts run with doubles."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lamslsa.enclave.manifest import ENTRIES, ENVIRONMENT

GUEST = Path(__file__).resolve().parents[3] / "enclave" / "guest"
DIGEST = "sha256:" + "ab" * 32

Unit = dict[str, list[tuple[str, str]]]


def unit(name: str) -> Unit:
    sections: Unit = {}
    section: list[tuple[str, str]] | None = None
    for line in (GUEST / name).read_text(encoding="ascii").splitlines():
        if not line or line.startswith("#"):
            continue
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = sections.setdefault(header[1], [])
            continue
        key, equals, value = line.partition("=")
        assert equals, line
        assert section is not None
        section.append((key, value))
    return sections


SERVICE = {
    "Type": "oneshot",
    "ExecStart": f"/usr/bin/python3 -I -S -B {ENTRIES['measure']}",
    "WorkingDirectory": "/run/lamslsa",
    "RuntimeDirectory": "lamslsa",
    "RuntimeDirectoryMode": "0700",
    "StandardInput": "null",
    "StandardOutput": "null",
    "StandardError": "journal+console",
    "CapabilityBoundingSet": "",
    "NoNewPrivileges": "yes",
    "PrivateNetwork": "yes",
    "RestrictAddressFamilies": "none",
    "IPAddressDeny": "any",
    "PrivateTmp": "yes",
    "ProtectSystem": "strict",
    "ReadWritePaths": "/out -/sys/kernel/config/tsm",
    "ProtectHome": "yes",
    "ProtectClock": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
    "SystemCallArchitectures": "native",
    "DevicePolicy": "closed",
}


ASSERTED = ("AssertPathIsReadWrite", "AssertPathIsMountPoint")


def test_the_service_can_do_its_job_and_nothing_else() -> None:
    sections = unit("lamslsa-attest.service")
    assert sections["Unit"] == [
        ("Description", "Do the job in /job inside this guest, and power off"),
        ("RequiresMountsFor", "/job /data /out"),
        ("ConditionPathExists", "/job/job.json"),
        *((key, f"!{path}") for key in ASSERTED for path in ("/packages", "/usr", "/etc")),
        ("SuccessAction", "poweroff-immediate"),
        ("FailureAction", "poweroff-immediate"),
    ]
    assert sections["Install"] == [("WantedBy", "multi-user.target")]
    service = sections["Service"]
    repeated = {"Environment", "DeviceAllow"}
    assert {key: value for key, value in service if key not in repeated} == SERVICE
    assert len([key for key, _ in service if key not in repeated]) == len(SERVICE)
    assert [value for key, value in service if key == "DeviceAllow"] == ["/dev/tdx_guest rw", "/dev/sev-guest rw"]


def test_the_environment_is_that_of_the_enclave() -> None:
    """But for the linker, which finds the libraries of a guest where they are installed."""
    found = dict(
        value.split("=", 1) for key, value in unit("lamslsa-attest.service")["Service"] if key == "Environment"
    )
    assert found == {name: value for name, value in ENVIRONMENT.items() if name != "LD_LIBRARY_PATH"}


def test_a_gpu_adds_its_device_nodes_and_nothing_else() -> None:
    sections = unit("gpu.conf")
    assert {key for key, _ in sections["Service"]} == {"DeviceAllow"}
    assert all(re.fullmatch(r"(/dev/nvidia[a-z0-9-]*|char-nvidia-caps) rw", value) for _, value in sections["Service"])
    assert {key for key, _ in sections["Unit"]} == {"After", "Wants"}
    assert set(sections) == {"Unit", "Service"}


def test_the_output_is_formatted_by_the_guest() -> None:
    sections = unit("lamslsa-out.service")
    commands = [value for key, value in sections["Service"] if key.startswith("Exec")]
    assert commands == ["/usr/sbin/mke2fs -q -F -t ext4 -O ^has_journal /dev/disk/by-id/virtio-out"]
    assert ("Before", "out.mount") in sections["Unit"]


def test_no_disk_of_the_host_holds_programs() -> None:
    lines = [line.split() for line in (GUEST / "fstab").read_text(encoding="ascii").splitlines() if line[0] != "#"]
    options = {line[1]: set(line[3].split(",")) for line in lines}
    assert set(options) == {"/job", "/data", "/out", "/tmp"}
    assert all({"nosuid", "nodev", "noexec"} <= each for each in options.values())
    assert {place for place, each in options.items() if "ro" in each} == {"/job", "/data"}
    assert "x-systemd.requires=lamslsa-out.service" in options["/out"]
    assert {line[2] for line in lines if line[1] in ("/job", "/data")} == {"erofs"}


def instructions() -> list[tuple[str, str]]:
    text = (GUEST / "Containerfile").read_text(encoding="ascii")
    lines = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines if line]


def test_the_image_comes_from_a_digest_and_no_network() -> None:
    found = instructions()
    assert {word for word, _ in found} == {"ARG", "FROM", "ENV", "COPY", "RUN"}
    assert found[0] == ("ARG", "BASE"), "no default"
    assert [rest for word, rest in found if word == "FROM"] == ["${BASE} AS cpu", "cpu AS gpu"]
    runs = [rest for word, rest in found if word == "RUN"]
    assert all(rest.startswith("--network=none ") for rest in runs)
    assert not [rest for rest in runs if re.search(r"curl|wget|apt-get|apt |https?://", rest)]
    pip = next(rest for rest in runs if "pip install" in rest)
    for option in ("--no-index", "--require-hashes", "--no-deps", "--no-compile", "--target /packages"):
        assert option in pip
    for _, rest in (pair for pair in found if pair[0] == "COPY"):
        for source in rest.split()[:-1]:
            assert source in ("wheels/", "nvidia/") or (GUEST / source).is_file()


MASKED = {
    "logins": "getty@ autovt@ serial-getty@ console-getty container-getty@ ssh ssh.socket ssh@ sshd sshd.socket sshd@",
    "shells where something goes wrong": "emergency emergency.target rescue rescue.target debug-shell",
    "questions and keys on a console": "systemd-firstboot systemd-ask-password-console.path "
    "systemd-ask-password-wall.path ctrl-alt-del.target",
    "networks": "systemd-networkd systemd-networkd.socket systemd-resolved systemd-timesyncd",
    "what other disks hold": "systemd-repart systemd-sysext systemd-confext",
    "would allow keys on the serial line again": "systemd-sysctl",
    "runs what the host sends": "qemu-guest-agent",
    "runs what a cloud or a disk says": "cloud-init cloud-init-local cloud-init-main cloud-init-network cloud-config "
    "cloud-final",
}


def test_nothing_gives_a_shell_or_does_what_the_host_says() -> None:
    (run,) = [rest for word, rest in instructions() if word == "RUN" and "systemctl mask" in rest]
    (command,) = [part.split() for part in run.split("&&") if "systemctl mask" in part]
    names = [name for line in MASKED.values() for name in line.split()]
    assert command[:2] == ["systemctl", "mask"]
    assert sorted(command[2:]) == sorted(name if "." in name else f"{name}.service" for name in names)
    enabled = [part.split()[2:] for part in run.split("&&") if "systemctl enable" in part]
    assert enabled == [["lamslsa-attest.service"]]


def test_every_file_is_used() -> None:
    used = (GUEST / "Containerfile").read_text(encoding="ascii") + (GUEST / "build.sh").read_text(encoding="ascii")
    for path in GUEST.iterdir():
        assert path.name in used or path.name == "boot.sh", path.name


Script = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Run a script with doubles that write their arguments down."""
    tools = tmp_path / "tools"
    tools.mkdir()
    log = tmp_path / "log"
    for name in ("podman", "mkfs.erofs", "veritysetup", "qemu-system-x86_64"):
        path = tools / name
        path.write_text(
            f'#!/bin/sh\nprintf "%s\\n" {name} "$@" "" >> {log}\n'
            'case "$1" in create) echo container ;; export) : > "$3" ;;\n'
            'run) echo "$SYSTEMD" ;; format) echo "Root hash:      $ROOTHASH" ;; esac\n',
            encoding="ascii",
        )
        path.chmod(0o755)

    def run(name: str, *words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "SOURCE_DATE_EPOCH": "1700000000",
            "ROOTHASH": "ab" * 32,
            "SYSTEMD": "systemd 254 (254.1-3)\n+PAM +AUDIT",
        }
        return subprocess.run(
            ["sh", str(GUEST / name), *map(str, words)],
            env=environment | variables,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def calls(folder: Path) -> list[list[str]]:
    return [call.split("\n") for call in (folder / "log").read_text(encoding="ascii").split("\n\n") if call]


CMDLINE = {
    "console=ttyS0": "what the service says",
    "panic=-1": "a guest that fails is gone",
    "ro": "the root is not written",
    "systemd.verity=yes": "the root is what its hash says",
    f"roothash={'ab' * 32}": "and the hash is measured",
    "systemd.verity_root_data=/dev/disk/by-id/virtio-root": "where the root lies",
    "systemd.verity_root_hash=/dev/disk/by-id/virtio-hash": "and its tree of hashes",
    "systemd.verity_root_options=panic-on-corruption": "no reading on after a wrong block",
    "systemd.volatile=state": "/var in memory, and nothing over the rest, as with overlay",
    "rd.shell=0": "no shell in the initrd",
    "rd.emergency=poweroff": "whatever goes wrong there",
    "systemd.import_credentials=no": "no files, units, keys or passwords from SMBIOS and fw_cfg",
    "systemd.gpt_auto=0": "no other partition is mounted or swapped to",
    "efi=noruntime": "no variables of the firmware: SystemdOptions is read like a command line",
    "noresume": "no memory image from a disk",
    "systemd.getty_auto=no": "no login on consoles that the host adds",
    "systemd.ssh_auto=no": "no SSH over vsock",
    "systemd.firstboot=no": "no questions",
    "sysctl.kernel.sysrq=0": "no commands to the kernel over the serial line",
    "cloud-init=disabled": "no scripts from a disk of the host",
}


def test_build(script: Script, tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    done = script("build.sh", "cpu", f"debian@{DIGEST}", "context", "out")
    assert done.returncode == 0, done.stderr
    made = calls(tmp_path)
    assert [call[:2] for call in made] == [
        ["podman", "build"],
        ["podman", "run"],
        ["podman", "create"],
        ["podman", "export"],
        ["mkfs.erofs", "--quiet"],
        ["veritysetup", "format"],
        ["podman", "rm"],
    ]
    assert {"--network=none", "--pull=never", f"BASE=debian@{DIGEST}", "1700000000"} <= set(made[0])
    assert made[0][made[0].index("--target") + 1] == "cpu"
    assert {"--network=none", "systemctl", "lamslsa-guest-cpu", "--version"} <= set(made[1])
    assert {"-T", "1700000000", "-U"} <= set(made[4])
    assert "--salt=-" in made[5]
    cmdline = (tmp_path / "out" / "cmdline").read_text(encoding="ascii")
    assert sorted(cmdline.split(" ")) == sorted(CMDLINE)
    assert (tmp_path / "context" / "lamslsa-attest.service").is_file()


@pytest.mark.parametrize("base", ["debian", "debian:12", "debian@sha256:ab", DIGEST, f"debian@{DIGEST}x"])
def test_a_base_without_a_digest_is_refused(script: Script, tmp_path: Path, base: str) -> None:
    (tmp_path / "context").mkdir()
    done = script("build.sh", "cpu", base, "context", "out")
    assert done.returncode == 2
    assert "by digest" in done.stderr
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("version", ["systemd 253 (253.5-1)", "systemd 99 (99)", "", "no such program 300"])
def test_a_systemd_that_listens_to_the_host_is_refused(script: Script, tmp_path: Path, version: str) -> None:
    (tmp_path / "context").mkdir()
    done = script("build.sh", "cpu", f"debian@{DIGEST}", "context", "out", SYSTEMD=version)
    assert done.returncode == 1
    assert "systemd 254 or later" in done.stderr
    assert [call[:2] for call in calls(tmp_path)] == [["podman", "build"], ["podman", "run"]]
    assert not (tmp_path / "out" / "cmdline").exists()


def test_a_later_systemd(script: Script, tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    version = "systemd 257~rc2 (257~rc2-1)"
    done = script("build.sh", "cpu", f"debian@{DIGEST}", "context", "out", SYSTEMD=version)
    assert done.returncode == 0, done.stderr


def test_what_a_build_needs(script: Script, tmp_path: Path) -> None:
    assert script("build.sh", "cpu").returncode == 2
    assert script("build.sh", "tpu", f"debian@{DIGEST}", "context", "out").returncode == 2
    assert script("build.sh", "cpu", f"debian@{DIGEST}", "context", "out", SOURCE_DATE_EPOCH="").returncode != 0
    (tmp_path / "context").mkdir()
    (tmp_path / "out").mkdir()
    assert script("build.sh", "cpu", f"debian@{DIGEST}", "context", "out").returncode != 0, "nothing is overwritten"
    assert script("build.sh", "cpu", f"debian@{DIGEST}", "context", "new", ROOTHASH="no").returncode == 1
    assert not (tmp_path / "new" / "cmdline").exists()


def test_the_driver_of_a_gpu_is_compared_with_its_digests(script: Script, tmp_path: Path) -> None:
    nvidia = tmp_path / "context" / "nvidia"
    nvidia.mkdir(parents=True)
    (nvidia / "driver.deb").write_bytes(b"driver")
    (nvidia / "SHA256SUMS").write_text(f"{'00' * 32}  driver.deb\n", encoding="ascii")
    assert script("build.sh", "gpu", f"debian@{DIGEST}", "context", "out").returncode != 0
    assert not (tmp_path / "log").exists()
    digest = hashlib.sha256(b"driver").hexdigest()
    (nvidia / "SHA256SUMS").write_text(f"{digest}  driver.deb\n", encoding="ascii")
    assert script("build.sh", "gpu", f"debian@{DIGEST}", "context", "out").returncode == 0
    assert "gpu" in calls(tmp_path)[0]


def boot(script: Script, tmp_path: Path, tee: str, *more: str) -> list[str]:
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "cmdline").write_text("ro roothash=x", encoding="ascii")
    done = script("boot.sh", tee, "fw", "kernel", "initrd", "image", "job.img", "data.img", "out.img", *more)
    assert done.returncode == 0, done.stderr
    (call,) = calls(tmp_path)
    return call


def common(call: list[str]) -> None:
    pairs = set(itertools.pairwise(call))
    assert {("-nic", "none"), ("-kernel", "kernel"), ("-initrd", "initrd"), ("-append", "ro roothash=x")} <= pairs
    assert {"-nodefaults", "-no-user-config", "-no-reboot"} <= set(call)
    drives = [call[index + 1] for index, word in enumerate(call) if word == "-drive"]
    writable = [drive for drive in drives if "readonly=off" in drive]
    assert len(drives) == 5
    assert writable == ["if=none,id=out,format=raw,readonly=off,file=out.img"]


def test_snp_measures_kernel_initrd_and_command_line(script: Script, tmp_path: Path) -> None:
    call = boot(script, tmp_path, "snp")
    common(call)
    options = dict(
        part.partition("=")[::2] for part in next(w for w in call if w.startswith("sev-snp-guest,")).split(",")
    )
    assert options["kernel-hashes"] == "on"
    policy = int(options["policy"], 0)
    assert policy >> 17 & 1 == 1
    assert policy >> 18 & 3 == 0, "neither migration nor debugging"
    assert not [word for word in call if "vfio" in word]


def test_tdx(script: Script, tmp_path: Path) -> None:
    call = boot(script, tmp_path, "tdx")
    common(call)
    (guest,) = [word for word in call if "tdx-guest" in word]
    assert "debug" not in guest
    assert "attributes" not in guest


def test_a_guest_with_a_gpu(script: Script, tmp_path: Path) -> None:
    call = boot(script, tmp_path, "snp", "0000:41:00.0")
    assert "vfio-pci,host=0000:41:00.0,bus=port,iommufd=iommu" in call


def test_what_a_boot_needs(script: Script) -> None:
    assert script("boot.sh", "snp").returncode == 2
    words = ("fw", "kernel", "initrd", "image", "job", "data", "out")
    assert script("boot.sh", "sgx", *words).returncode == 2
    assert script("boot.sh", "snp", *words, "gpu", "more").returncode == 2
