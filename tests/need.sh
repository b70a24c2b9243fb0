#!/bin/sh
# What the tests need besides Python: a browser, auditd's tools as the oracle, clang for the eBPF sensor, Java for Spark. Installed on Debian as root.
set -eu

missing=""
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v strace >/dev/null 2>&1 || missing="$missing strace"
command -v auditctl >/dev/null 2>&1 || [ -x /sbin/auditctl ] || missing="$missing auditd"
/usr/bin/python3 -c 'import auparse' 2>/dev/null || missing="$missing python3-audit"
command -v java >/dev/null 2>&1 || missing="$missing openjdk-17-jre-headless"
command -v clang >/dev/null 2>&1 || missing="$missing clang"
[ -e /usr/include/bpf/bpf_helpers.h ] || missing="$missing libbpf-dev"
command -v rpmbuild >/dev/null 2>&1 || missing="$missing rpm"
[ -x /lib/systemd/systemd-journal-remote ] || missing="$missing systemd-journal-remote"
command -v tclsh >/dev/null 2>&1 || missing="$missing tcl"
command -v dpkg-source >/dev/null 2>&1 || missing="$missing dpkg-dev"
command -v systemd-analyze >/dev/null 2>&1 || missing="$missing systemd"
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing for the tests:$missing"
    apt-get update -qq
    # Debian's policy would start auditd, which would take the kernel's audit from whoever has it.
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d.tocsin
    chmod +x /usr/sbin/policy-rc.d.tocsin
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        mv /usr/sbin/policy-rc.d.tocsin /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    else
        rm -f /usr/sbin/policy-rc.d.tocsin
    fi
    # shellcheck disable=SC2086  # a list of packages
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "tests that need$missing will not run here; install them, or run as root on Debian" >&2
fi
