#!/bin/sh
# Copyright: (c) 2026, the contributors of this project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# ansible-core 2.20.10 and 2.21.5 (PyPI), with Python 3.12 or 3.13.
#
# One would guess: what a module returns under a name of its own is what a registered variable has. The documented common return values (changed, failed,
# msg, ...) are few, and "finished" belongs to tasks with async alone.
# Seen: a module without async that returns finished: ["a", "b"] gives this list up to 2.20. With 2.21 the registered variable has true instead, the task
# passes, and all that is said is a warning.
#
# Needs python3.12 or python3.13 with venv. Prints what it saw, and fails if that changes.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for python in python3.12 python3.13 "$HOME"/.pyenv/versions/3.1[23].*/bin/python3; do
    if "$python" -c 'import venv' 2>/dev/null; then break; fi
done
mkdir "$work/library"
cat >"$work/library/two_names.py" <<'PYTHON'
#!/usr/bin/python
from ansible.module_utils.basic import AnsibleModule

AnsibleModule({}).exit_json(finished=["a", "b"], ended=["a", "b"])
PYTHON
cat >"$work/play.yml" <<'YAML'
- hosts: localhost
  gather_facts: false
  tasks:
    - two_names:
      register: result
    - ansible.builtin.copy:
        content: "finished {{ result.finished | to_json }}, ended {{ result.ended | to_json }}"
        dest: "{{ said }}"
YAML
registered() { # release of ansible-core: what the play saw
    "$python" -m venv "$work/$1" >&2
    "$work/$1/bin/pip" --quiet install "ansible-core==$1" >&2
    ANSIBLE_LIBRARY="$work/library" ANSIBLE_HOME="$work/home" LC_ALL=C.UTF-8 \
        "$work/$1/bin/ansible-playbook" -i localhost, -c local -e "said=$work/said-$1 ansible_python_interpreter=$work/$1/bin/python" "$work/play.yml" >&2
    cat "$work/said-$1"
}
older=$(registered 2.20.10)
newer=$(registered 2.21.5)
echo "2.20.10: $older"
echo "2.21.5:  $newer"
if [ "$older" = 'finished ["a", "b"], ended ["a", "b"]' ] && [ "$newer" = 'finished true, ended ["a", "b"]' ]; then
    echo "as described"
else
    echo "CHANGED"
    exit 1
fi
