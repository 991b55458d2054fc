#!/bin/sh
# boot.sh snp|tdx FIRMWARE KERNEL INITRD IMAGE JOB DATA OUT [GPU]: boot a guest whose measurement covers all that it runs.
#   IMAGE      folder that build.sh made
#   JOB, DATA  erofs images; OUT a raw disk, formatted by the guest
#   GPU        PCI address of a GPU in confidential mode, bound to vfio-pci
# SEV-SNP: kernel-hashes=on puts the hashes of kernel, initrd and command line into the launch measurement; the firmware
# must be built for that (AmdSev). TDX: the firmware measures them into RTMR1 and RTMR2. The command line names the root
# hash of dm-verity, so either way the measurement reaches every file.
set -eu
if [ "$#" -lt 8 ] || [ "$#" -gt 9 ]; then
  echo "usage: boot.sh snp|tdx FIRMWARE KERNEL INITRD IMAGE JOB DATA OUT [GPU]" >&2
  exit 2
fi
tee=$1 firmware=$2 kernel=$3 initrd=$4 image=$5 job=$6 data=$7 out=$8 gpu=${9-}
memory=${MEMORY:-16G}
cores=${CORES:-4}

case $tee in
  snp)
    # Guest policy: no debugging (bit 19), no migration agent (bit 18); SMT allowed (bit 16); bit 17 must be 1.
    set -- -cpu EPYC-v4 \
      -machine q35,confidential-guest-support=tee,memory-backend=memory \
      -object sev-snp-guest,id=tee,policy=0x30000,cbitpos=51,reduced-phys-bits=1,kernel-hashes=on
    ;;
  tdx)
    set -- -cpu host \
      -machine q35,kernel-irqchip=split,confidential-guest-support=tee,memory-backend=memory \
      -object '{"qom-type":"tdx-guest","id":"tee","quote-generation-socket":{"type":"vsock","cid":"2","port":"4050"}}'
    ;;
  *)
    echo "expected snp or tdx, got $tee" >&2
    exit 2
    ;;
esac

disk() { # NAME FILE READONLY
  printf '%s' "if=none,id=$1,format=raw,readonly=$3,file=$2"
}
if [ -n "$gpu" ]; then
  set -- "$@" -object iommufd,id=iommu -device pcie-root-port,id=port \
    -device "vfio-pci,host=$gpu,bus=port,iommufd=iommu" -fw_cfg name=opt/ovmf/X-PciMmio64Mb,string=262144
fi
exec qemu-system-x86_64 -enable-kvm -nodefaults -no-user-config -no-reboot -display none -serial stdio -nic none \
  "$@" -smp "$cores" -m "$memory" -object "memory-backend-memfd,id=memory,size=$memory,share=true,prealloc=false" \
  -bios "$firmware" -kernel "$kernel" -initrd "$initrd" -append "$(cat "$image/cmdline")" \
  -drive "$(disk root "$image/root.img" on)" -device virtio-blk-pci,drive=root,serial=root \
  -drive "$(disk hash "$image/hash.img" on)" -device virtio-blk-pci,drive=hash,serial=hash \
  -drive "$(disk job "$job" on)" -device virtio-blk-pci,drive=job,serial=job \
  -drive "$(disk data "$data" on)" -device virtio-blk-pci,drive=data,serial=data \
  -drive "$(disk out "$out" off)" -device virtio-blk-pci,drive=out,serial=out
