# Things that only a booted machine does: modules, AppArmor, login sessions under systemd, a unit, a watched file.
modprobe dummy
rmmod dummy

cp /bin/cat /usr/local/bin/confined
printf '/usr/local/bin/confined {\n  /usr/local/bin/confined mr,\n  /{,usr/}lib/** mr,\n  /etc/ld.so.cache r,\n}\n' >/etc/apparmor.d/confined
apparmor_parser -r /etc/apparmor.d/confined
/usr/local/bin/confined /etc/shadow

mkdir -p -m 700 ~/.ssh
ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519
install -d -o alice -g alice -m 700 ~alice/.ssh
install -o alice -g alice -m 600 ~/.ssh/id_ed25519.pub ~alice/.ssh/authorized_keys
ssh -o StrictHostKeyChecking=no -o BatchMode=yes alice@127.0.0.1 'id; cat /proc/self/sessionid; loginctl --no-pager list-sessions'
ssh -o StrictHostKeyChecking=no -o BatchMode=yes nobody-here@127.0.0.1 true
su -s /bin/sh -c 'sudo -n true' alice
systemd-run --wait --quiet --unit=deed /bin/sh -c 'echo "* * * * * root true" >/etc/cron.d/deed'
chmod 600 /etc/cron.d/deed
getent hosts deed.example.test
