"""The questions that are asked of attached GPUs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lamslsa.evidence.appraise.terms import GpuTerms, PlatformTerms, Refusal
from lamslsa.evidence.interface import DeviceClaims

__all__ = ["gpus"]


def gpus(devices: Sequence[DeviceClaims], terms: PlatformTerms) -> Iterator[Refusal]:
    """Every reason why the GPUs do not meet the terms; terms that say nothing of GPUs ask for none."""
    if terms.gpu is None:
        return
    if len(devices) < terms.gpu.minimum:
        yield Refusal(
            reason="gpu-missing",
            message=f"expected {terms.gpu.minimum} or more GPUs for platform {terms.name}, got {len(devices)}",
            mend="attest with every GPU included: --gpu",
        )
    for device in devices:
        yield from _root(device, terms, terms.gpu)
        yield from _golden_values(device, terms.name, terms.gpu)
        yield from _listed(device, terms.name, terms.gpu)


def _root(device: DeviceClaims, terms: PlatformTerms, gpu: GpuTerms) -> Iterator[Refusal]:
    if device.simulated and not terms.simulated:
        yield Refusal(
            reason="gpu-simulated",
            message=f"expected hardware as GPU for platform {terms.name}, got a simulated one under root {device.root}",
            mend="attest with a GPU; no policy that asks for hardware accepts simulation",
        )
    elif terms.simulated and device.root not in gpu.roots:
        yield Refusal(
            reason="gpu-root",
            message=f"expected a root of simulated GPUs of platform {terms.name}, got root {device.root}",
            mend=f"attest with the GPU whose root is pinned, or add this root to gpu.roots of {terms.name}",
        )


def _golden_values(device: DeviceClaims, name: str, gpu: GpuTerms) -> Iterator[Refusal]:
    if device.golden_values == "matched" or (device.golden_values == "not compared" and gpu.unsafe_not_compared):
        return
    differing = ", ".join(map(str, device.differing[:8]))
    yield Refusal(
        reason="gpu-golden-values",
        message=f"expected a GPU whose measurements are the published ones for platform {name}, got one of which they "
        f"are {device.golden_values}{f': {differing}' if differing else ''}",
        mend=f"run driver {device.driver_version[:40]!r} and VBIOS {device.vbios_version[:40]!r} as published"
        if device.golden_values == "different"
        else f"name the manifests of driver {device.driver_version[:40]!r} and VBIOS {device.vbios_version[:40]!r} "
        "under gpu.manifests",
    )


def _listed(device: DeviceClaims, name: str, gpu: GpuTerms) -> Iterator[Refusal]:
    questions = (
        ("gpu-architecture", "of architecture", gpu.architectures, device.architecture),
        ("gpu-driver", "with driver", gpu.drivers, device.driver_version),
        ("gpu-vbios", "with VBIOS", gpu.vbios, device.vbios_version),
        ("gpu-device", "that is listed:", gpu.device_ids, device.device_id),
    )
    for reason, words, accepted, got in questions:
        if accepted is not None and got not in accepted:
            yield Refusal(
                reason=reason,
                message=f"expected a GPU {words} {' or '.join(sorted(accepted)) or 'none at all'} for platform {name}, "
                f"got {got[:80]!r}",
                mend="attest with such a GPU, or accept this one after review",
            )
