#!/bin/sh
# Copyright: (c) 2026, the contributors of this project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# etcd 3.6.16 (Go modules go.etcd.io/etcd/server/v3, etcdctl/v3, etcdutl/v3), one member on one machine.
#
# One would guess: the alarm NOSPACE belongs to a member whose database has reached its quota. A snapshot that is restored into a new cluster, whose member has
# another id and a quota of fifty times as much, takes writes.
# Seen: the alarm lies in the store and comes with the snapshot. The new cluster refuses every write ("database space exceeded"), and lists the alarm under the
# id of the old member, which is in no member list. It takes writes when that alarm was taken back.
#
# Needs go 1.24 or newer and python3. Prints what it saw, and fails if that changes.
set -eu
VERSION=v3.6.16
work=$(mktemp -d)
trap 'kill $(cat "$work"/*.pid 2>/dev/null) 2>/dev/null || true; rm -rf "$work"' EXIT
(cd "$work" && go mod init finding && go get "go.etcd.io/etcd/server/v3@$VERSION" "go.etcd.io/etcd/etcdctl/v3@$VERSION" "go.etcd.io/etcd/etcdutl/v3@$VERSION" &&
    go build -o bin/server go.etcd.io/etcd/server/v3 && go build -o bin/etcdctl go.etcd.io/etcd/etcdctl/v3 && go build -o bin/etcdutl go.etcd.io/etcd/etcdutl/v3) \
    > "$work/go.log" 2>&1 || { cat "$work/go.log"; exit 1; }

serve() { # name, port for members, quota in bytes
    name=$1 port=$2 quota=$3
    "$work/bin/server" --name "$name" --data-dir "$work/$name" --initial-cluster "$name=http://127.0.0.1:$port" --log-level error --quota-backend-bytes "$quota" \
        --listen-client-urls http://127.0.0.1:23721 --advertise-client-urls http://127.0.0.1:23721 \
        --listen-peer-urls "http://127.0.0.1:$port" --initial-advertise-peer-urls "http://127.0.0.1:$port" > "$work/$name.log" 2>&1 &
    echo $! > "$work/$name.pid"
    for _ in $(seq 60); do
        if ask member list > /dev/null 2>&1; then return; fi
        sleep 1
    done
    cat "$work/$name.log"
    exit 1
}
ask() { "$work/bin/etcdctl" --endpoints http://127.0.0.1:23721 "$@"; }
put() { # whether a small write is taken
    if ask put key value > /dev/null 2> "$work/put.err"; then echo taken; else grep -o 'database space exceeded' "$work/put.err" | head -n 1; fi
}

serve old 23821 2000000
head -c 500000 /dev/zero | tr '\0' x > "$work/value"
for _ in $(seq 200); do
    ask put filler < "$work/value" > /dev/null 2>&1 || break
done
echo "old cluster, full: a write is $(put); alarms: $(ask alarm list)"
ask snapshot save "$work/snapshot.db" > /dev/null 2>&1
kill "$(cat "$work/old.pid")"
while kill -0 "$(cat "$work/old.pid")" 2> /dev/null; do sleep 1; done
rm "$work/old.pid"

"$work/bin/etcdutl" snapshot restore "$work/snapshot.db" --data-dir "$work/new" --name new --initial-cluster new=http://127.0.0.1:23822 \
    --initial-advertise-peer-urls http://127.0.0.1:23822 > "$work/restore.log" 2>&1 || { cat "$work/restore.log"; exit 1; }
serve new 23822 100000000
refused=$(put)
alarms=$(ask alarm list)
id=$(echo "$alarms" | sed -n 's/^memberID:\([0-9]*\) alarm:NOSPACE.*/\1/p' | head -n 1)
members=$(ask member list --write-out json | python3 -c 'import json, sys; print(*(member["ID"] for member in json.load(sys.stdin)["members"]))')
echo "new cluster, quota of 100 MB: a write is $refused; alarms: $alarms; members: $members"
ask alarm disarm > /dev/null
after=$(put)
echo "after the alarm was taken back: a write is $after"
case " $members " in *" $id "*) echo "CHANGED: the alarm is one of a member"; exit 1 ;; esac
if [ -z "$id" ] || [ "$refused" != "database space exceeded" ] || [ "$after" != taken ]; then
    echo "CHANGED: the new cluster takes writes, or has no alarm"
    exit 1
fi
echo "as described"
