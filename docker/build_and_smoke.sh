#!/usr/bin/env bash
# Builds the image and tests it with production settings: build_and_smoke.sh [--train]
#
#   BASE_IMAGE=…   the base image. Default: the Dockerfile's, or, if no registry is reachable, an
#                  image built from Debian packages
#   BASE=debian    build the base from Debian packages at once; BASE=FILE.tar uses an existing one
#   ENGINE=…       docker or podman. Default: the first one that works
#   KEEP=tiedlm    keep the image under this tag. Default: remove everything
#
# podman uses a temporary store, which is removed. Only the kept image is copied to the machine's
# store.
#
# With --train, the trainer's image is built too. It trains and exports the bundle that is served.
# Packages come from the indexes in this machine's pip settings (PIP_… variables, pip.conf).
set -euo pipefail
cd "$(dirname "$0")/.."
train=''; [ "${1:-}" = --train ] && train=1

work=$(mktemp -d)
image=tiedlm:smoke-$$ trainer=tiedlm-train:smoke-$$ base=localhost/tiedlm-base:smoke-$$
engine='' private='' label=tiedlm.smoke=$$

cleanup() {
  status=$?
  trap - EXIT
  trap '' INT TERM
  if [ -n "$private" ]; then
    podman rm -fa >/dev/null 2>&1 || true
    podman rmi -fa >/dev/null 2>&1 || true
  elif [ -n "$engine" ]; then
    stray=$("$engine" ps -aq --filter "label=$label" 2>/dev/null) || stray=''
    # shellcheck disable=SC2086  # one id per word
    [ -z "$stray" ] || "$engine" rm -f $stray >/dev/null 2>&1 || true
    "$engine" rmi -f "$image" "$trainer" "$base" >/dev/null 2>&1 || true
  fi
  # Unmount what podman left mounted, because rm must not enter it.
  awk -v work="$work/" 'index($2, work) == 1 {print $2}' /proc/mounts | sort -r |
    while read -r mount; do umount -l "$mount" 2>/dev/null || true; done
  rm -rf --one-file-system "$work" 2>/dev/null || podman unshare rm -rf "$work" || true
  exit $status
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n== %s\n' "$*"; }
seconds() { printf '%d s\n' $((SECONDS - $1)); }

# A temporary store, which leaves the machine's store unchanged, and settings that work without
# systemd and in nested control groups (runc supports hybrid ones, crun does not).
own_store=${CONTAINERS_STORAGE_CONF-} own_settings=${CONTAINERS_CONF-}
private_podman() {
  local driver=overlay
  [ "$(stat -f -c %T "$work")" = overlayfs ] && driver=vfs
  cat > "$work/storage.conf" <<END
[storage]
driver = "$driver"
graphroot = "$work/store"
runroot = "$work/run"
END
  cat > "$work/containers.conf" <<END
[containers]
default_ulimits = ["nofile=8192:8192", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
END
  command -v runc >/dev/null && echo 'runtime = "runc"' >> "$work/containers.conf"
  export CONTAINERS_STORAGE_CONF=$work/storage.conf CONTAINERS_CONF=$work/containers.conf
  export BUILDAH_ISOLATION=chroot
  private=1
}

choose_engine() {
  if [ -n "${ENGINE:-}" ]; then engine=$ENGINE
  elif command -v docker >/dev/null && timeout 20 docker info >/dev/null 2>&1; then engine=docker
  elif command -v podman >/dev/null; then engine=podman
  else
    echo "error: no docker daemon and no podman found; on Debian run apt-get install podman runc" >&2
    exit 3
  fi
  [ "$engine" = docker ] || private_podman
}

# Copy the image to the machine's store under the tag KEEP.
keep() {
  "$engine" tag "$image" "$KEEP"
  [ -n "$private" ] || return 0
  "$engine" save --format docker-archive "$KEEP" | (
    unset CONTAINERS_STORAGE_CONF CONTAINERS_CONF
    [ -z "$own_store" ] || export CONTAINERS_STORAGE_CONF=$own_store
    [ -z "$own_settings" ] || export CONTAINERS_CONF=$own_settings
    "$engine" load -q
  ) > /dev/null
}

choose_base() {
  local wanted
  wanted=$(sed -n 's/^ARG BASE_IMAGE=//p' Dockerfile)
  if [ -n "${BASE_IMAGE:-}" ]; then return; fi
  if [ -z "${BASE:-}" ] && timeout 120 "$engine" pull -q "$wanted" >/dev/null 2>&1; then
    BASE_IMAGE=$wanted
    return
  fi
  local tar=${BASE:-debian}
  if [ "$tar" = debian ]; then
    [ -n "${BASE:-}" ] || echo "no registry has $wanted"
    echo "building a base from Debian packages"
    tar=$work/base.tar
    docker/base_from_debian.sh "$tar"
  fi
  "$engine" import "$tar" "$base" >/dev/null 2>&1
  rm -f "$work/base.tar"
  BASE_IMAGE=$base
}

build() { # build DOCKERFILE TAG [OPTION…]
  local file=$1 tag=$2
  shift 2
  local options=(--build-arg "BASE_IMAGE=$BASE_IMAGE" -f "$file" -t "$tag"
    --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)" "$@")
  if [ "$engine" = podman ]; then
    # Mounted for the RUN steps only, so that the image does not contain it.
    options+=(--format docker --layers --volume "$work/pip.conf:/etc/pip.conf:ro")
    while read -r path; do
      [ -n "$path" ] && options+=(--volume "$path:$path:ro")
    done < "$work/pip.paths"
  else
    [ -n "${PIP_INDEX_URL:-}" ] && options+=(--build-arg PIP_INDEX_URL)
    [ -n "${PIP_EXTRA_INDEX_URL:-}" ] && options+=(--build-arg PIP_EXTRA_INDEX_URL)
  fi
  "$engine" build "${options[@]}" . > "$work/build.log" 2>&1 ||
    { tail -n 60 "$work/build.log" >&2; echo "error: building $file failed" >&2; exit 1; }
}

export SMOKE_LABEL=$label
choose_engine
say "engine: $("$engine" --version)"
python3 docker/pip_settings.py "$work/pip.conf" > "$work/pip.paths"

start=$SECONDS
choose_base
say "base: $BASE_IMAGE, $(seconds $start)"

start=$SECONDS
build Dockerfile "$image"
say "image built: $(seconds $start)"

bundle=service/starter
if [ -n "$train" ]; then
  start=$SECONDS
  build docker/train.Dockerfile "$trainer"
  say "trainer image built: $(seconds $start)"
  start=$SECONDS
  python3 -m tests.programs.smoke "$engine" "$trainer" --train "$work/runs"
  bundle=$work/runs/bundle
  say "trained and exported: $(seconds $start)"
fi

python3 -m tests.programs.smoke "$engine" "$image" --base "$BASE_IMAGE" --bundle "$bundle"
[ -z "${KEEP:-}" ] || keep
say "the container works${KEEP:+; the image is kept as $KEEP}"
