# Before the recording starts: a web application with an upload that checks nothing, and a sudo rule that allows too much.
mkdir -p /run/php /run/sshd /var/www/html/uploads
sed -i 's/^listen = .*/listen = 127.0.0.1:9000/' /etc/php/8.2/fpm/pool.d/www.conf
cat > /etc/nginx/sites-enabled/default <<'END'
server {
  listen 10.0.0.5:80; root /var/www/html; index index.php;
  location ~ \.php$ { include snippets/fastcgi-php.conf; fastcgi_pass 127.0.0.1:9000; }
}
END
echo '<?php echo "Welcome";' > /var/www/html/index.php
echo '<?php move_uploaded_file($_FILES["f"]["tmp_name"], "uploads/" . $_FILES["f"]["name"]); echo "Thank you";' \
  > /var/www/html/profile.php
chown -R www-data: /var/www/html/uploads
echo 'www-data ALL=(root) NOPASSWD: /usr/bin/find' > /etc/sudoers.d/cleanup
cat /home/deploy/.ssh/id_ed25519.pub >> /home/deploy/.ssh/authorized_keys
cat /root/.ssh/id_ed25519.pub >> /root/.ssh/authorized_keys
touch /var/log/auth.log
chown -R root: /srv/app
git -C /srv/app init -q
git -C /srv/app add .
git -C /srv/app -c user.name=deploy -c user.email=deploy@web-1 commit -q -m first
chown -R deploy: /srv/app
