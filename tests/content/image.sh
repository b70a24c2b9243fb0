#!/bin/sh
# Make the small Debian in which record.py and capture_scene.py let things happen:  image.sh FOLDER
# Needs root and debootstrap.
set -eu
root=$1

debootstrap --variant=minbase bookworm "$root"
# No service may start while packages are installed: the folder is no machine.
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
chmod +x "$root/usr/sbin/policy-rc.d"
cp /etc/resolv.conf "$root/etc/resolv.conf"
DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get install -y --no-install-recommends \
  auditd ca-certificates cron curl e2fsprogs gcc git iproute2 iptables kmod less libc6-dev libcap2-bin logrotate make nano \
  netcat-traditional nginx-light openssh-client openssh-server perl php8.2-fpm postgresql procps python3 rsync rsyslog \
  socat strace sudo wget zip
# Packages that quiet.sh installs again: services, accounts, cron jobs, PAM.
mkdir -p "$root/srv/debs"
chroot "$root" sh -c 'cd /srv/debs && apt-get download at cron cron-daemon-common libpam-modules logrotate man-db \
  nginx-common nginx-light openssh-server passwd rsyslog ssl-cert sudo'
printf 'nameserver 127.0.0.1\n' > "$root/etc/resolv.conf"
"$(dirname "$0")/people.sh" "$root"
