#!/bin/sh
# Copyright: (c) 2026, the contributors of this project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# etcd 3.6.16 (Go module go.etcd.io/etcd/server/v3), three members on one machine.
#
# One would guess: a member that has lost its quorum answers what needs none (status, serializable reads, a snapshot), so after a disaster the last member
# that is left can always be asked for a snapshot.
# Seen: true only as long as it goes on running. Started again without a quorum, the same member with the same data answers no client at all, not even a
# serializable read: it serves clients only after it has published itself through raft. What it has can then be had from its files alone.
#
# Needs go 1.24 or newer and python3. Prints what it saw, and fails if that changes.
set -eu
VERSION=v3.6.16
work=$(mktemp -d)
trap 'kill $(cat "$work"/*.pid 2>/dev/null) 2>/dev/null || true; rm -rf "$work"' EXIT
(cd "$work" && go mod init finding && go get "go.etcd.io/etcd/server/v3@$VERSION" && go build -o bin/server go.etcd.io/etcd/server/v3) > "$work/go.log" 2>&1 ||
    { cat "$work/go.log"; exit 1; }

cluster="a=http://127.0.0.1:23811,b=http://127.0.0.1:23812,c=http://127.0.0.1:23813"
member() { # name number
    "$work/bin/server" --name "$1" --data-dir "$work/$1" --initial-cluster "$cluster" --log-level error \
        --listen-client-urls "http://127.0.0.1:2371$2" --advertise-client-urls "http://127.0.0.1:2371$2" \
        --listen-peer-urls "http://127.0.0.1:2381$2" --initial-advertise-peer-urls "http://127.0.0.1:2381$2" > "$work/$1.log" 2>&1 &
    echo $! > "$work/$1.pid"
}
ask() { # path, body: what the first member answers within five seconds, or "no answer"
    python3 - "$1" "$2" <<'PYTHON'
import sys, urllib.request
request = urllib.request.Request("http://127.0.0.1:23711" + sys.argv[1], sys.argv[2].encode())
try:
    print(urllib.request.urlopen(request, timeout=5).read(200).decode("utf-8", "replace")[:60].strip())
except OSError:
    print("no answer")
PYTHON
}
read_serializable() { ask /v3/kv/range '{"key": "a2V5", "serializable": true}'; }

member a 1; member b 2; member c 3
for _ in $(seq 60); do
    case $(ask /v3/kv/put '{"key": "a2V5", "value": "dmFsdWU="}') in *revision*|*header*) break ;; esac
    sleep 1
done
kill -9 "$(cat "$work/b.pid")" "$(cat "$work/c.pid")"
while kill -0 "$(cat "$work/b.pid")" 2>/dev/null || kill -0 "$(cat "$work/c.pid")" 2>/dev/null; do sleep 1; done
rm "$work/b.pid" "$work/c.pid"
sleep 5
running=$(read_serializable)
echo "quorum lost while it runs, serializable read: $running"
kill "$(cat "$work/a.pid")"; while kill -0 "$(cat "$work/a.pid")" 2>/dev/null; do sleep 1; done
member a 1
sleep 20
again=$(read_serializable)
status=$(ask /v3/maintenance/status '{}')
echo "started again without a quorum, serializable read: $again; status: $status"
case $running in *header*) ;; *) echo "CHANGED: a member that lost its quorum while it ran does not answer"; exit 1 ;; esac
if [ "$again" != "no answer" ] || [ "$status" != "no answer" ]; then
    echo "CHANGED: it answers"
    exit 1
fi
echo "as described"
