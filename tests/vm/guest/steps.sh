# What the scripts share; `. ./steps.sh`. `setting.sh` comes with SERVER and TOKEN.
. ./setting.sh
KEPT=/srv/kept
export HOME=/root # which systemd gives no service of the system
export PYTHONHOME=/opt/tocsin-agent/python

audit() { /opt/tocsin-agent/python/bin/python3.11 -I /srv/given/audit.py "$@"; }

# Until a command holds, at most 30 s.
until_holds() {
  for _ in $(seq 60); do "$@" >/dev/null 2>&1 && return 0; sleep 0.5; done
  echo "not within 30 s: $*"
  return 1
}

# A processor in software is slow: without the limit nothing is left out, and few folders are compared at the start.
install_agent() {
  mkdir -p /etc/tocsin
  cat >/etc/tocsin/agent.toml <<'END'
[limit]
cpu_percent = 100
[files]
paths = ["/etc/cron.d"]
[inventory]
enabled = false
END
  dpkg -i --force-confold ./tocsin-agent.deb
}

join() { until_holds tocsin-agent enroll --server "$SERVER" --token "$TOKEN"; }

start() {
  systemctl start tocsin-agent
  until_holds tocsin-agent status
  tocsin-agent status
}

tell() {
  tocsin-agent status --json >"$KEPT/status-$1.json"
  journalctl --no-pager -u tocsin-agent >"$KEPT/journal-$1"
}

main_pid() { systemctl show -p MainPID --value tocsin-agent; }
