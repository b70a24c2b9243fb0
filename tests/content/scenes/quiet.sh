# An ordinary working minute, to see what the rules make of it: a site is served, software built, the host looked after.
php-fpm8.2 --nodaemonize > /dev/null 2>&1 &
nginx -g 'daemon off;' &
/usr/sbin/sshd -D &
cron -f &
sleep 1
as_deploy="setpriv --reuid=deploy --regid=deploy --init-groups env HOME=/home/deploy"
cd /srv/app
for round in 1 2 3; do
  curl -s -o /srv/app/page http://10.0.0.5/
  $as_deploy git status --short
  $as_deploy git log --oneline
  $as_deploy git clone -q /srv/app /home/deploy/clone-$round
  $as_deploy make
  printf '#include <stdio.h>\nint main(void) { return printf("hello\\n") < 0; }\n' > /home/deploy/hello.c
  $as_deploy gcc -O2 -o /home/deploy/hello /home/deploy/hello.c
  $as_deploy /home/deploy/hello
  $as_deploy python3 -m compileall -q -f /usr/lib/python3.11/json
  $as_deploy sh -c 'ls -l | grep py | wc -l'
  tar -czf /srv/backup/app-$round.tgz -C /srv app
  rsync -a /srv/app /srv/backup/
done
dpkg -l nginx-light
apt-cache policy nginx-light
dpkg --verify cron
DEBIAN_FRONTEND=noninteractive dpkg -i /srv/debs/*.deb
cp /etc/nginx/nginx.conf /etc/nginx/nginx.conf.bak
sed -i 's/# gzip_vary/gzip_vary/' /etc/nginx/nginx.conf
nginx -t
ps aux
ss -ltn
df -h /
free
ip address
journalctl --version
id deploy
su - deploy -c 'sudo -n -l'
logrotate --force --state /var/lib/logrotate/status /etc/logrotate.conf
for job in dpkg logrotate; do /etc/cron.daily/$job; done
passwd -S -a
ssh-keygen -q -t ed25519 -N '' -f /home/deploy/deploy_key
ssh -q -i /root/.ssh/id_ed25519 -o StrictHostKeyChecking=no root@10.0.0.5 uptime
find /srv -name '*.py' -newer /etc/hostname
less /etc/nginx/nginx.conf
tail -n 5 /var/log/nginx/access.log
