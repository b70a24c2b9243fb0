# The kernel's audit is locked (enabled 2) and nobody owns it: the agent takes what comes, and says what it could not set.
. ./steps.sh
dpkg -i /srv/auditd/*.deb
until_holds systemctl is-active auditd
auditctl -a always,exit -F arch=b64 -S execve -k before-the-lock
auditctl -e 2
systemctl kill auditd
sleep 2
install_agent
join
start
/bin/true after-the-lock
sleep 3
tell locked
tocsin-agent doctor >$KEPT/doctor
systemctl stop tocsin-agent
audit state >$KEPT/audit-stopped
true
