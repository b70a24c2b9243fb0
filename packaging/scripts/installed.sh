#!/bin/sh
# After installing: start, or start anew what runs; before the host is enrolled there is nothing to start.
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
systemctl enable --quiet tocsin-agent.service
[ -e /var/lib/tocsin-agent/agent.json ] || exit 0
# The one that runs leaves its rules in the kernel, so that the next one knows what came in between.
systemctl kill --kill-who=main --signal=USR1 tocsin-agent.service 2>/dev/null || true
systemctl restart tocsin-agent.service
