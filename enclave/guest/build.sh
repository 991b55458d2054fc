#!/bin/sh
# build.sh VARIANT BASE CONTEXT OUT: root file system with dm-verity, and the kernel command line that names its root hash.
# The same inputs give the same bytes: times, ids, salt and order are fixed. Needs podman, erofs-utils and cryptsetup.
set -eu
if [ "$#" -ne 4 ]; then
  echo "usage: build.sh cpu|gpu BASE@sha256:DIGEST CONTEXT OUT" >&2
  exit 2
fi
oldest=254 # the first systemd that distrusts the firmware of a confidential guest by itself
variant=$1 base=$2 context=$3 out=$4
here=$(cd "$(dirname "$0")" && pwd)
: "${SOURCE_DATE_EPOCH:?set it to the time of the release}"

case $variant in
  cpu | gpu) ;;
  *) echo "expected the variant cpu or gpu, got $variant" >&2; exit 2 ;;
esac
if ! printf '%s\n' "$base" | grep -Eq '^[^@]+@sha256:[0-9a-f]{64}$'; then
  echo "expected a base image by digest (name@sha256:...), got $base" >&2
  exit 2
fi
if [ "$variant" = gpu ]; then
  (cd "$context/nvidia" && sha256sum --check --strict --quiet SHA256SUMS)
fi

mkdir "$out"
cp "$here/fstab" "$here/lamslsa-out.service" "$here/lamslsa-attest.service" "$here/gpu.conf" "$context/"
podman build --pull=never --network=none --timestamp "$SOURCE_DATE_EPOCH" --build-arg "BASE=$base" \
  --build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH" --target "$variant" --tag "lamslsa-guest-$variant" \
  --file "$here/Containerfile" "$context"
version=$(podman run --rm --network=none --entrypoint systemctl "lamslsa-guest-$variant" --version \
  | sed -n '1s/^systemd \([0-9][0-9]*\).*/\1/p')
if [ "${version:-0}" -lt "$oldest" ]; then
  echo "expected systemd $oldest or later in the base image, got ${version:-none}" >&2
  exit 1
fi
container=$(podman create "lamslsa-guest-$variant")
trap 'podman rm --force "$container" >/dev/null' EXIT
podman export --output "$out/root.tar" "$container"

mkfs.erofs --quiet --tar=f -T "$SOURCE_DATE_EPOCH" -U 00000000-0000-0000-0000-000000000000 "$out/root.img" "$out/root.tar"
rm "$out/root.tar"
roothash=$(veritysetup format --salt=- --uuid=00000000-0000-0000-0000-000000000000 "$out/root.img" "$out/hash.img" \
  | sed -n 's/^Root hash:[[:space:]]*//p')
if ! printf '%s\n' "$roothash" | grep -Eq '^[0-9a-f]{64}$'; then
  echo "expected a root hash from veritysetup, got $roothash" >&2
  exit 1
fi
# The root as it is, read-only, with /var in memory: nothing that is written lies over a program.
set -- console=ttyS0 panic=-1 ro systemd.verity=yes "roothash=$roothash" \
  systemd.verity_root_data=/dev/disk/by-id/virtio-root systemd.verity_root_hash=/dev/disk/by-id/virtio-hash \
  systemd.verity_root_options=panic-on-corruption systemd.volatile=state rd.shell=0 rd.emergency=poweroff
# What the host can say beside this line is not listened to: credentials (SMBIOS, fw_cfg), other partitions, variables
# of the firmware, a hibernated memory, consoles, keys on the serial line, and what clouds hand to their guests.
set -- "$@" systemd.import_credentials=no systemd.gpt_auto=0 efi=noruntime noresume systemd.getty_auto=no \
  systemd.ssh_auto=no systemd.firstboot=no sysctl.kernel.sysrq=0 cloud-init=disabled
printf '%s' "$*" > "$out/cmdline"
