# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only place where a module of this collection meets AnsibleModule: arguments in, one result or one failure out."""

from __future__ import annotations

from typing import Any, Callable, Dict, NoReturn, Optional

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError


class Call:
    """What a module body may know of its invocation."""

    def __init__(self, module: AnsibleModule) -> None:
        self.params: Dict[str, Any] = module.params
        self.check_mode = bool(module.check_mode)
        self.diff_mode = bool(module._diff)
        self._module = module

    def warn(self, text: str) -> None:
        """Show a warning beside the result."""
        self._module.warn(text)

    def hide(self, value: str) -> None:
        """Blank this value out of everything that Ansible prints about this call."""
        self._module.no_log_values.add(value)


def run(argument_spec: Dict[str, Any], body: Callable[[Call], Dict[str, Any]], **options: Any) -> NoReturn:
    """Run ``body`` as an Ansible module.

    ``body`` returns the result; ``changed`` defaults to false. A LifeboatError becomes the module's failure, with its machine-readable
    fields under ``error``. Other exceptions are defects and keep their traceback.
    """
    module = AnsibleModule(argument_spec=argument_spec, supports_check_mode=True, **options)
    failure: Optional[Dict[str, Any]] = None
    result: Dict[str, Any] = {}
    try:
        result = body(Call(module))
    except LifeboatError as error:
        failure = error.as_result()
    # Outside of the handler: ansible-core would add a traceback to what is no defect.
    if failure is not None:
        module.fail_json(**failure)
        raise AssertionError("fail_json does not return")
    result.setdefault("changed", False)
    module.exit_json(**result)
    raise AssertionError("exit_json does not return")
