# The packaged agent under its unit, alone with the kernel's audit: it starts, sees, stops, and is gone.
. ./steps.sh
install_agent
audit state >$KEPT/audit-before
join
start
systemctl show -p MainPID,MemoryCurrent,MemoryPeak tocsin-agent
tocsin-agent doctor
/opt/tocsin-agent/python/bin/python3.11 -I ./audit.py record >$KEPT/records & # a function would be a shell more to end
recorder=$!
sleep 2

. ./deeds.sh
sleep 5
kill $recorder
tell busy
grep -E 'VmRSS|VmHWM' /proc/$(main_pid)/status >$KEPT/memory
cat /proc/$(main_pid)/status >$KEPT/process
systemd-analyze security --no-pager tocsin-agent | tail -1 >$KEPT/exposure

systemctl stop tocsin-agent
audit state >$KEPT/audit-stopped
systemctl start tocsin-agent
until_holds tocsin-agent status
cp -a /opt/tocsin-agent/python /srv/python && cp -a /opt/tocsin-agent/lib /srv/lib
dpkg --purge tocsin-agent
sed -i s,/opt/tocsin-agent,/srv, audit.py
PYTHONHOME=/srv/python /srv/python/bin/python3.11 -I audit.py state >$KEPT/audit-purged
find / -xdev -name '*tocsin*' -not -path '/srv/*' -not -path '/proc/*' >$KEPT/left-behind
systemctl list-units --all --no-legend 'tocsin*' >>$KEPT/left-behind
true
