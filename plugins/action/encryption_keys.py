# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the encryption keys of a recovery point with those of a machine that keeps its files, and adds what it lacks. In the controller's memory."""

from __future__ import annotations

import hashlib
import os
from typing import Any, Dict, List, Optional, Tuple

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import catalog
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.runs import find_run
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki import keyring
from ansible_collections.lifeboat.cluster.plugins.module_utils._pki.encryption import Configuration, EncryptionConfigurationError, Stored
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.transfer import Connection, Workspace
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import age_keys
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.verification.encryption import named_file, open_configurations
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import SourceDamagedError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.locations import LOCATION_ARGUMENTS, open_location
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.plugin_utils.host_files import read_file


class ActionModule(ActionBase):
    """lifeboat.cluster.encryption_keys"""

    def run(self, tmp: Any = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        result: Dict[str, Any] = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(
            argument_spec=dict(
                LOCATION_ARGUMENTS,
                **catalog.TRUST_ARGUMENTS,
                **age_keys.OPENING_ARGUMENTS,
                point={"type": "str", "required": True, "aliases": ["recovery_point_id"]},
                in_use={"type": "dict", "required": True},
                staging={"type": "str", "required": True},
                owner={"type": "str", "default": ""},
                state={"type": "str", "choices": ["compared", "present"], "default": "compared"},
                aside={"type": "str", "default": "lifeboat"},
            )
        )
        try:
            result.update(self._run(options, task_vars or {}))
        except LifeboatError as error:
            raise AnsibleActionFail(str(error), result=error.as_result()) from None
        return result

    def _run(self, options: Dict[str, Any], task_vars: Dict[str, Any]) -> Dict[str, Any]:
        location = open_location(options["location"])
        manifest = catalog.read_believable(location, options["cluster_name"], options["point"], catalog.Trust.from_params(options))
        stored = Stored.from_record(manifest.etcd or {})
        in_use = options["in_use"]
        file = named_file(in_use)
        if not file or (not in_use.get("exists") and not stored.encrypted):
            return self._without_file(in_use, stored)
        if not in_use.get("exists"):
            return _result(file, ["%s, which the API server names, is not there" % file], [], False)
        workspace = Workspace(find_run(task_vars, os.getppid()).directory)
        content = read_file(self, str(in_use.get("real_file") or file), options["staging"], options["owner"], workspace, task_vars)
        points: List[Configuration] = []
        if stored.encrypted:
            identities = age_keys.load_identities(options["identity_files"])
            points = open_configurations(location, manifest, identities, str(task_vars["inventory_hostname"]))
        differences = keyring.compare(Configuration.parse(content, file), points, stored)
        if options["state"] == "compared" or not differences:
            return _result(file, [str(one) for one in differences], differences, False)
        return self._add(options, task_vars, (file, content), differences, manifest, workspace)

    @staticmethod
    def _without_file(in_use: Dict[str, Any], stored: Stored) -> Dict[str, Any]:
        """A machine whose API server names no configuration reads nothing that is encrypted."""
        if not stored.encrypted:
            return _result("", [], [], False)
        why = "names no encryption configuration" if in_use.get("known") else "does not run, and no manifest of it was found"
        texts = sorted({str(key) for key, _resource in stored.keys})
        return _result("", ["its API server %s, and the recovery point holds values of %s" % (why, ", ".join(texts))], [], False)

    def _add(
        self,
        options: Dict[str, Any],
        task_vars: Dict[str, Any],
        there: Tuple[str, bytes],
        differences: List[keyring.Difference],
        manifest: Manifest,
        workspace: Workspace,
    ) -> Dict[str, Any]:
        """Make the new file, bring it onto the host, put it in place, and read back what lies there then."""
        file, content = there
        stuck = [one for one in differences if not one.addable]
        if stuck:
            raise EncryptionConfigurationError(
                "The encryption keys of recovery point %s cannot all be added on %s" % (manifest.id, task_vars["inventory_hostname"]),
                tried=file,
                found=keyring.summary(stuck),
                remedy="give %s the providers named, with their plugins running, or choose another recovery point (-e recovery_point_id=...)" % file,
            )
        wanted = keyring.add(content, differences, file)
        result = _result(file, [str(one) for one in differences], differences, True)
        if self._task.check_mode:
            return result
        real = str(options["in_use"].get("real_file") or file)
        answer = self._place(options, task_vars, real, wanted, workspace)
        if read_file(self, real, options["staging"], options["owner"], workspace, task_vars) != wanted:
            raise SourceDamagedError("%s was read back with other bytes than were written" % real, remedy="look at the host's disk, and run it again")
        return dict(result, aside=answer["aside"])

    def _place(self, options: Dict[str, Any], task_vars: Dict[str, Any], real: str, wanted: bytes, workspace: Workspace) -> Dict[str, Any]:
        staged = os.path.join(options["staging"], "encryption-%s.yaml" % os.urandom(8).hex())
        with workspace.plain(len(wanted), real) as plain:
            with open(plain, "wb") as stream:
                stream.write(wanted)
            try:
                Connection(self._connection, (AnsibleError,)).put(plain, staged)
            except AnsibleError as error:
                raise SourceDamagedError(
                    "%s could not be brought to the host" % staged,
                    found=str(error)[:400],
                    remedy="the directory must belong to the login user; look at its space",
                ) from error
        try:
            answer: Dict[str, Any] = self._execute_module(
                module_name="lifeboat.cluster.encryption_config",
                module_args={"path": real, "source": staged, "sha256": hashlib.sha256(wanted).hexdigest(), "aside": options["aside"]},
                task_vars=task_vars,
            )
        finally:
            self._low_level_execute_command(self._connection._shell.remove(staged), sudoable=False)
        if answer.get("failed"):
            raise SourceDamagedError("%s could not be put in place" % real, found=str(answer.get("msg"))[:600], remedy="see the message, then run it again")
        return answer


def _result(file: str, problems: List[str], differences: List[keyring.Difference], changed: bool) -> Dict[str, Any]:
    """What is told: names of providers, keys and resources."""
    addable = bool(differences) and all(one.addable for one in differences)
    compared = {
        "configuration": file,
        "same": not problems,
        "addable": addable,
        "problems": list(dict.fromkeys(problems)),
        "differences": [one.as_result() for one in differences],
    }
    return {"changed": changed, "encryption": compared}
