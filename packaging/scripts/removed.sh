#!/bin/sh
# After removing: nothing of the agent stays but, until purged, its identity and settings.
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload
[ "${1:-}" != purge ] || rm -rf /var/lib/tocsin-agent
