#!/usr/bin/env bash
# Builds a base image from Debian packages, as a tar file: base_from_debian.sh FILE.tar
#
# For machines that cannot reach an image registry. Needs root, Debian and mmdebstrap. The image
# replaces python:…-slim: a minimal Debian with `python` in /usr/local/bin, venv and pip.
set -euo pipefail
tar=$1
# shellcheck source=/dev/null
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
# This machine's own mirrors. The last hook below removes them from the image.
sources=()
for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian*.{list,sources}; do
  [ -s "$file" ] && sources+=("$file")
done
# shellcheck disable=SC2016  # the hook expands "$1"
mmdebstrap --quiet --variant=minbase --include=ca-certificates,python3,python3-venv,python3-pip \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --customize-hook='rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED' \
  --customize-hook='ln -s /usr/bin/python3 "$1/usr/local/bin/python"' \
  --customize-hook='ln -s /usr/bin/python3 "$1/usr/local/bin/python3"' \
  --customize-hook='find "$1/usr" -name __pycache__ -prune -exec rm -rf {} +' \
  --customize-hook='rm -rf "$1"/etc/apt/sources.list* "$1/etc/hostname"; : > "$1/etc/resolv.conf"' \
  "$suite" "$tar" "${sources[@]}"
