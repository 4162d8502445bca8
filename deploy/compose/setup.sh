#!/bin/sh
# What makes a cluster of the compose file's nodes, once: two more members, a tenant, a policy in force, a token.
set -eu
export AEGIS_SERVER=https://control-1:7070,https://control-2:7070,https://control-3:7070
export AEGIS_SERVER_CA=/certs/ca.pem AEGIS_PERSON_TOKEN_FILE=/admin/admin.token

if [ -e /admin/set-up ]; then
    echo 'the cluster was set up before'
    exit 0
fi

# Another node may still be starting.
again() {
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        [ "$tries" -lt 40 ] || return 1
        sleep 0.5
    done
}

again aegis cluster add control-2 https://control-2:7071
again aegis cluster add control-3 https://control-3:7071
aegis tenant show demo >/dev/null 2>&1 || aegis tenant create demo
aegis agent list --tenant demo | grep -q '^finance-agent' || aegis agent create finance-agent --tenant demo
again aegis policy publish /examples/payments --tenant demo --activate --wait 20s
aegis cluster status
touch /admin/set-up
