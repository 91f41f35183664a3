#!/usr/bin/env bash
# Build the release of the commit that is checked out: one archive for each
# system, byte for byte the same wherever and whenever it is built with the same Go.
#
#   deploy/release.sh [-o DIR] [OS/ARCH ...]
#
# VERSION (default: the tag, else 0.0.0-COMMIT) goes into `senpuki version`. Needs GNU tar.
set -euo pipefail
cd "$(dirname "$0")/.."

out=dist
if [ "${1:-}" = -o ]; then out=$2; shift 2; fi
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || targets=(linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64)

if [ -n "$(git status --porcelain --untracked-files=no)" ]; then
  echo "release: there are changes that are not committed; a release is made of a commit" >&2
  exit 1
fi
version=${VERSION:-$(git describe --tags --exact-match 2>/dev/null || echo "0.0.0-$(git rev-parse --short=12 HEAD)")}
version=${version#v}
# Everything that bears a time bears that of the commit.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
# Nothing of the builder's own settings may get in.
export CGO_ENABLED=0 GOFLAGS= GOAMD64=v1 GOARM64=v8.0 GOEXPERIMENT= LC_ALL=C TZ=UTC
umask 022

mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A clone of its own: Go puts the commit into binaries that are built in one, but not in a worktree, and what git ignores is not there.
commit=$(git rev-parse HEAD)
git clone --quiet --no-hardlinks . "$work/src"
cd "$work/src"
git checkout --quiet --detach "$commit"
archives=()
for target in "${targets[@]}"; do
  os=${target%/*} arch=${target#*/}
  name=senpuki_${version}_${os}_${arch}
  mkdir "$work/$name"
  binary=senpuki
  [ "$os" != windows ] || binary=senpuki.exe
  GOOS=$os GOARCH=$arch go build -trimpath -buildvcs=true \
    -ldflags "-s -w -buildid= -X github.com/senpuki/senpuki/cmd/senpuki/cli.release=$version" \
    -o "$work/$name/$binary" ./cmd/senpuki
  go version -m "$work/$name/$binary" | grep -q "vcs.revision=$commit" || { echo "release: $target does not name its commit" >&2; exit 1; }
  cp LICENSE README.md CHANGELOG.md "$work/$name/"
  chmod 644 "$work/$name"/*.md "$work/$name/LICENSE"
  chmod 755 "$work/$name/$binary" "$work/$name"
  tar -C "$work" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=ustar -cf - "$name" |
    gzip -n -9 >"$out/$name.tar.gz"
  archives+=("$name.tar.gz")
  echo "$out/$name.tar.gz"
done
(cd "$out" && sha256sum "${archives[@]}" >"senpuki_${version}_checksums.txt")
echo "$out/senpuki_${version}_checksums.txt"
