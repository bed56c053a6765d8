#!/bin/sh
# Copyright: (c) 2026, the contributors of this project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# ansible-core 2.19.1 (PyPI), with any Python that it supports.
#
# One would guess: {{ now(utc=true).timestamp() }} is the time since 1970 in UTC, whatever the time zone of the controller, because utc=true says so.
# Seen: now(utc=true) returns the time in UTC *without* a zone, and timestamp() of such a time reads it as local time. With TZ=Europe/Berlin the
# result is one or two hours off, with TZ=UTC it is right, so that nobody notices on a machine in UTC. {{ now().timestamp() }} is right everywhere.
#
# Needs python3 with venv. Prints what it saw, and fails if that changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet install ansible-core==2.19.1
off() { # time zone, expression: by how many seconds it is off, rounded
    TZ=$1 LC_ALL=C.UTF-8 ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_INVENTORY_UNPARSED_WARNING=false ANSIBLE_HOME="$work/home" \
        "$work/venv/bin/ansible" localhost -m ansible.builtin.debug -a "msg={{ ($2 - ('%s' | strftime | int)) | round | int }}" |
        sed -n 's/.*"msg": "\{0,1\}\(-\{0,1\}[0-9]*\).*/\1/p'
}
utc=$(off UTC 'now(utc=true).timestamp()')
india=$(off Asia/Kolkata 'now(utc=true).timestamp()')
local=$(off Asia/Kolkata 'now().timestamp()')
echo "now(utc=true).timestamp() is off by $utc s in UTC and by $india s in Asia/Kolkata; now().timestamp() by $local s there"
# Between the two looks a second may pass.
if [ "$utc" -ge -2 ] && [ "$utc" -le 2 ] && [ "$india" -ge -19802 ] && [ "$india" -le -19798 ] && [ "$local" -ge -2 ] && [ "$local" -le 2 ]; then
    echo "as described"
else
    echo "CHANGED"
    exit 1
fi
