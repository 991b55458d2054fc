#!/bin/sh
# build.sh VARIANT BASE CONTEXT OUT: root file system with dm-verity, and the kernel command line that names its root hash.
# The same inputs give the same bytes: times, ids, salt and order are fixed. Needs podman, erofs-utils and cryptsetup.
set -eu
if [ "$#" -ne 4 ]; then
  echo "usage: build.sh cpu|gpu BASE@sha256:DIGEST CONTEXT OUT" >&2
  exit 2
fi
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
printf '%s' "console=ttyS0 panic=-1 ro systemd.verity=yes roothash=$roothash \
systemd.verity_root_data=/dev/disk/by-id/virtio-root systemd.verity_root_hash=/dev/disk/by-id/virtio-hash \
systemd.verity_root_options=panic-on-corruption systemd.volatile=overlay rd.shell=0 rd.emergency=poweroff" \
  > "$out/cmdline"
