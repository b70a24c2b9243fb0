# auditd owns the kernel's audit, then it is locked: the agent listens beside it and says so.
. ./steps.sh
dpkg -i /srv/auditd/*.deb
until_holds systemctl is-active auditd
auditctl -a always,exit -F arch=b64 -S execve -k of-auditd
install_agent
join
start
/bin/true beside-auditd
sleep 3
tell beside
tocsin-agent doctor
systemctl is-active auditd >$KEPT/auditd
auditctl -l >$KEPT/rules-beside
auditctl -e 2
systemctl restart tocsin-agent
until_holds tocsin-agent status
/bin/true beside-locked
sleep 3
tell locked
tocsin-agent doctor >$KEPT/doctor-locked
auditctl -s >$KEPT/audit-locked
true
