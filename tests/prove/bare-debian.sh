#!/usr/bin/env bash
# A bare Debian 12 in a folder: bare-debian.sh FOLDER [PACKAGE…]. Needs root and debootstrap.
set -euo pipefail

folder=$1
shift
((EUID == 0)) || { echo "a bare Debian needs root" >&2 && exit 2; }
command -v debootstrap >/dev/null || { echo "apt-get install debootstrap" >&2 && exit 2; }
# apt inside goes where apt here goes; debootstrap writes it down.
mirror=$(grep -rhoE --include='*.list' --include='*.sources' '^[^#]*https?://[^ ]+/debian/?( |$)' /etc/apt 2>/dev/null |
  grep -oE 'https?://[^ ]+' | head -1 || true)
started=$SECONDS
mkdir -p "$folder"
echo "bootstrapping Debian 12 from ${mirror:-the default mirror}"
packages=$(IFS=, && echo "$*")
debootstrap --variant=minbase ${packages:+--include="$packages"} bookworm "$folder" ${mirror:+"$mirror"} >"$folder.log" 2>&1 ||
  { tail "$folder.log" && exit 1; }
mv "$folder.log" "$folder/var/log/debootstrap.log"
echo "debootstrap: $((SECONDS - started)) s"
