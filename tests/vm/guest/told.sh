# Only what the kernel tells of the deeds under the agent's rules: /srv/kept/records.
. ./steps.sh
install_agent
join
systemctl start tocsin-agent
until_holds tocsin-agent status
/opt/tocsin-agent/python/bin/python3.11 -I ./audit.py record >$KEPT/records & # a function would be a shell more to end
recorder=$!
sleep 3
. ./deeds.sh
sleep 5
kill $recorder
tell busy
true
