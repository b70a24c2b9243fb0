#!/bin/sh
# The people and the application of the recorded machine:  people.sh FOLDER
set -eu
root=$1

chroot "$root" sh -eu <<'IN'
id deploy 2>/dev/null || useradd --create-home --shell /bin/bash deploy
id backup-op 2>/dev/null || useradd --create-home --shell /bin/bash backup-op
echo deploy:correct-horse | chpasswd
for home in /root /home/deploy; do
  mkdir -p $home/.ssh $home/.aws $home/.kube
  test -e $home/.ssh/id_ed25519 || ssh-keygen -q -t ed25519 -N '' -C web-1 -f $home/.ssh/id_ed25519
  touch $home/.ssh/known_hosts $home/.ssh/authorized_keys
  printf '[default]\naws_access_key_id = EXAMPLE\naws_secret_access_key = EXAMPLE\n' > $home/.aws/credentials
  printf 'apiVersion: v1\nkind: Config\n' > $home/.kube/config
  printf 'ls\ncd /srv/app\n' > $home/.bash_history
  chmod 700 $home/.ssh
done
chown -R deploy: /home/deploy
mkdir -p /srv/app /srv/backup
printf 'print("hello")\n' > /srv/app/main.py
printf 'all:\n\tpython3 main.py\n\tsh -c "date > built"\n' > /srv/app/Makefile
chown -R deploy: /srv/app
rm -f /usr/sbin/policy-rc.d
IN
