#!/usr/bin/env bash
# Build one target of the release twice, from clones in different places and
# without a shared cache, and fail unless the archives are the same.
#
#   deploy/reproducible.sh [OS/ARCH]
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-linux/amd64}
head=$(git rev-parse HEAD)
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
root=$(git rev-parse --show-toplevel)
for n in one another/place; do
  mkdir -p "$work/$n"
  git clone --quiet --no-hardlinks "$root" "$work/$n/src"
  git -C "$work/$n/src" checkout --quiet --detach "$head"
done
"$work/one/src/deploy/release.sh" -o "$work/one/dist" "$target"
# The second build begins from nothing: a cache would only give back the first.
GOCACHE="$work/cache" "$work/another/place/src/deploy/release.sh" -o "$work/another/place/dist" "$target"
cmp "$work"/one/dist/*_checksums.txt "$work"/another/place/dist/*_checksums.txt
for archive in "$work"/one/dist/*.tar.gz; do
  cmp "$archive" "$work/another/place/dist/$(basename "$archive")"
done
echo "$target is reproducible: $(cut -c1-64 "$work"/one/dist/*_checksums.txt)"
