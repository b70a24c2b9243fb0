#!/bin/sh
# Before removing: stop, so that the kernel's audit is as it was found. An upgrade (deb: upgrade, rpm: 1) goes on.
set -e
case "${1:-}" in upgrade | 1) exit 0 ;; esac
[ ! -d /run/systemd/system ] || systemctl disable --now --quiet tocsin-agent.service
