# A newer package over a running agent, while a writer numbers what it does.
. ./steps.sh
install_agent
join
start
tocsin-agent status --json >$KEPT/status-before.json
main_pid >$KEPT/pid-before
cp /var/lib/tocsin-agent/agent.json $KEPT/agent-before.json
(n=0; while [ ! -e /run/enough ]; do n=$((n + 1)); /bin/true numbered-$n; sleep 0.2; done; echo $n >$KEPT/numbered) &
writer=$!
sleep 5
dpkg -i --force-confold ./later.deb
until_holds tocsin-agent status
sleep 3
touch /run/enough
wait $writer
sleep 5
main_pid >$KEPT/pid-after
cp /var/lib/tocsin-agent/agent.json $KEPT/agent-after.json
dpkg-query -W tocsin-agent >$KEPT/version
cat /etc/tocsin/agent.toml >$KEPT/agent.toml
tell after
