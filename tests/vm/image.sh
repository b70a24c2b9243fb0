#!/bin/sh
# Make a Debian 12 that can be booted by qemu: its kernel, systemd as PID 1, AppArmor, sshd; auditd only as packages.
#
# usage: tests/vm/image.sh FOLDER      the folder gets vmlinuz, initrd and disk.img; what is there already stays
set -eu

SUITE=bookworm
SIZE=1500M
PACKAGES=linux-image-cloud-amd64,initramfs-tools,systemd-sysv,libpam-systemd,dbus,udev,kmod,procps,iproute2,sudo,cron
PACKAGES=$PACKAGES,openssh-server,openssh-client,curl,ca-certificates,libbpf1,apparmor

out=$(mkdir -p "$1" && cd "$1" && pwd)
[ -e "$out/disk.img" ] && exit 0
here=$(cd "$(dirname "$0")" && pwd)
for tool in mmdebstrap mke2fs; do
  command -v "$tool" >/dev/null || { echo "tests/vm/image.sh: needs $tool: apt-get install mmdebstrap e2fsprogs" >&2; exit 2; }
done
mirror=$(sed -n -E 's/^URIs: *([^ ]*\/debian)\/?$/\1/p; s/^deb +(\[[^]]*\] +)?([^ ]*\/debian)\/? .*/\2/p' \
  /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -1)
root=$out/root
rm -rf "$root"
mmdebstrap --quiet --variant=minbase --mode=root --include="$PACKAGES" --aptopt='Acquire::Languages "none"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --customize-hook='mkdir -p "$1/srv/auditd" && chroot "$1" sh -c "cd /srv/auditd && apt-get -q download auditd libauparse0"' \
  "$SUITE" "$root" "${mirror:-http://deb.debian.org/debian}"

# What the machine does when it is up: what it is given, on its second disk; what it leaves goes to its third.
cp "$here/guest/given.sh" "$root/usr/local/sbin/given"
cp "$here/guest/given.service" "$root/etc/systemd/system/given.service"
ln -sf /etc/systemd/system/given.service "$root/etc/systemd/system/multi-user.target.wants/given.service"
printf '[Match]\nName=en*\n[Network]\nDHCP=yes\n' >"$root/etc/systemd/network/all.network"
ln -sf /lib/systemd/system/systemd-networkd.service "$root/etc/systemd/system/multi-user.target.wants/systemd-networkd.service"
echo tocsin-vm >"$root/etc/hostname"
printf '127.0.0.1 localhost tocsin-vm\n' >"$root/etc/hosts"
printf '/dev/vda / ext4 defaults 0 1\n' >"$root/etc/fstab"
chroot "$root" useradd --create-home --shell /bin/bash alice

cp "$root"/boot/vmlinuz-* "$out/vmlinuz"
cp "$root"/boot/initrd.img-* "$out/initrd"
mke2fs -q -t ext4 -d "$root" "$out/disk.new" "$SIZE"
rm -rf "$root"
mv "$out/disk.new" "$out/disk.img"
