# What runs on the recorded host by itself, for as long as the recording lasts.
php-fpm8.2 --nodaemonize > /dev/null 2>&1 &
nginx -g 'daemon off;' &
/usr/sbin/sshd -D &
sleep 3
logrotate --state /var/lib/logrotate/status /etc/logrotate.d/nginx
sleep 12
rsync -a /srv/app /srv/backup/
dpkg-query -W nginx-light > /dev/null
sleep 14
df -h / > /dev/null
find /var/lib/php/sessions -type f -mmin +24 -delete
sleep 20
