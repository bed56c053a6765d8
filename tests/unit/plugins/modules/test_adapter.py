# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that fails repeats nothing that could be a secret, as a process of its own with all that it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests import environment

RUN = "from ansible_collections.lifeboat.cluster.plugins.modules import backup_location_info; backup_location_info.main()"


def told(**arguments: Any) -> dict[str, Any]:
    """What the module prints when it is called with these arguments."""
    given = {"_ansible_verbosity": 3, "_ansible_version": "2.19", "_ansible_check_mode": False, **arguments}
    environment_of = {**os.environ, "PYTHONPATH": str(environment.collection_tree())}
    command = [sys.executable, "-c", START.format(arguments=json.dumps(json.dumps({"ANSIBLE_MODULE_ARGS": given}))) + RUN]
    done = subprocess.run(command, env=environment_of, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


# As the wrapper that Ansible sends along hands over arguments.
START = """\
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args
import json
context = patch_module_args(json.loads({arguments})["ANSIBLE_MODULE_ARGS"])
context.__enter__()
"""


@pytest.mark.parametrize(
    "location",
    [
        {"path": "/srv/none", "secret_access_key": "planted-4711"},
        {"path": "/srv/none", "credentials": {"nested": ["planted-4711"]}},
        {"type": "s3", "bucket": "b", "endpoint_url": "http://user:planted-4711@127.0.0.1:9"},
        {"path": "/srv/none/AGE-SECRET-KEY-1PLANTED4711"},
    ],
)
def test_what_nobody_asked_for_is_not_repeated(location: dict[str, Any]) -> None:
    answer = told(location=location, cluster_name="shop")
    assert answer["failed"] is True
    assert "4711" not in json.dumps(answer)


def test_what_was_asked_for_is() -> None:
    """The same failure without a secret says where it looked."""
    answer = told(location={"path": "/srv/none-such"}, cluster_name="shop")
    assert "/srv/none-such" in json.dumps(answer)
