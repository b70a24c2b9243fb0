# What the kernel tells of the deeds under the agent's rules, for the golden log.
. ./steps.sh
install_agent
join
systemctl start tocsin-agent
until_holds tocsin-agent status
audit record >$KEPT/records &
recorder=$!
sleep 3
. ./deeds.sh
sleep 5
kill $recorder
tell busy
true
