#!/bin/sh
# Install the Tocsin agent on this host, enrol it, start it.
#
#   curl -fsSL @URL@/install.sh | sh -s -- --token TOKEN
#
# Exit codes: 0 done, 1 the package or the agent does not work here, 2 used wrongly, 3 try later.

SERVER='@URL@'
# What the server has: kind, machine, SHA-256.
PACKAGES='@PACKAGES@'

say() { echo "tocsin: $*" >&2; }
die() { code=$1; shift; say "$*"; exit "$code"; }

read_arguments() {
  token=
  while [ $# -gt 0 ]; do
    case "$1" in
    --token) [ $# -gt 1 ] || die 2 "--token wants the token that \`tocsin agent token\` prints"; token=$2; shift 2 ;;
    --token=*) token=${1#--token=}; shift ;;
    *) die 2 "unknown argument $1; known is --token TOKEN" ;;
    esac
  done
  [ -n "$token" ] || die 2 "--token TOKEN is missing; \`tocsin agent token\` on the server makes one"
}

look_at_host() {
  [ "$(id -u)" = 0 ] || die 2 "must run as root: curl ... | sudo sh -s -- --token TOKEN"
  [ -d /run/systemd/system ] || die 1 "this host has no systemd: install the package by hand and run \`tocsin-agent run\`"
  if command -v dpkg >/dev/null; then kind=deb
  elif command -v rpm >/dev/null; then kind=rpm
  else die 1 "neither dpkg nor rpm is here: there is no package for this system"; fi
  machine=$(uname -m)
  sum=$(echo "$PACKAGES" | sed -n "s/^$kind $machine //p")
  [ -n "$sum" ] || die 1 "the server has no $kind for $machine"
}

# A token that ends in the fingerprint of the server's authority names whom to trust; nothing else then is.
choose_trust() {
  trusted=
  case "$token" in *@sha256:*) ;; *) return 0 ;; esac
  fetch --insecure "$SERVER/ingest/ca" "$folder/ca.pem"
  found=$(sed '/^-----/d' "$folder/ca.pem" | base64 -d 2>/dev/null | sha256sum | cut -d' ' -f1)
  [ "$found" = "${token##*@sha256:}" ] || die 1 "$SERVER shows an authority that is not the token's: $found"
  trusted="--cacert $folder/ca.pem"
}

# shellcheck disable=SC2086  # options, or none
fetch() {
  options=$1
  curl -fsSL --retry 3 $options -o "$3" "$2" || die 3 "$2 cannot be fetched"
}

install_package() {
  file=$folder/tocsin-agent.$kind
  fetch "$trusted" "$SERVER/packages/$kind/$machine" "$file"
  [ "$(sha256sum "$file" | cut -d' ' -f1)" = "$sum" ] || die 1 "the package that came is not the one that was promised"
  case $kind in
  deb) dpkg -i --force-confold "$file" ;;
  rpm) rpm -U --replacepkgs "$file" ;;
  esac >"$folder/log" 2>&1 || { cat "$folder/log" >&2; die 1 "the package could not be installed"; }
}

enrol_and_start() {
  if [ -e /var/lib/tocsin-agent/agent.json ]; then
    say "this host is enrolled already; it keeps its identity"
  else
    tocsin-agent enroll --server "$SERVER" --token "$token" || die 1 "installed, but not enrolled"
  fi
  systemctl start tocsin-agent || die 1 "installed and enrolled, but not started: see \`journalctl -u tocsin-agent\`"
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
    tocsin-agent status >/dev/null 2>&1 && { say "the agent runs and is healthy"; return 0; }
    sleep 1
  done
  tocsin-agent status >&2 || true
  die 1 "the agent is installed, but not healthy after 30 s"
}

main() {
  set -eu
  read_arguments "$@"
  look_at_host
  command -v curl >/dev/null || die 1 "needs curl"
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  choose_trust
  install_package
  enrol_and_start
}

# Last, so that half a script does nothing.
main "$@"
