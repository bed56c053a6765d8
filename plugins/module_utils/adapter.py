# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only place where a module of this collection meets AnsibleModule: arguments in, one result or one failure out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, Mapping, NoReturn, Optional, Set

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError
from ansible_collections.lifeboat.cluster.plugins.module_utils.redact import SHORTEST_SECRET, shaped_like_secrets, strings_in

if TYPE_CHECKING:

    class _Base:
        """What is used of AnsibleModule, which has no types of its own."""

        params: Dict[str, Any]
        argument_spec: Dict[str, Any]
        no_log_values: Set[str]
        check_mode: bool
        _diff: bool

        def __init__(self, **options: Any) -> None:
            """See AnsibleModule."""

        def warn(self, warning: str) -> None:
            """See AnsibleModule."""

        def fail_json(self, msg: str, **more: Any) -> NoReturn:
            """See AnsibleModule."""
            raise AssertionError

        def exit_json(self, **result: Any) -> NoReturn:
            """See AnsibleModule."""
            raise AssertionError

else:
    _Base = AnsibleModule


class _Module(_Base):
    """A module whose failure does not repeat what was never asked for: with C(-vvv), Ansible shows all that it was given."""

    def fail_json(self, msg: str, **more: Any) -> NoReturn:
        """As AnsibleModule, which calls it for what is wrong with the arguments, too."""
        given = self.params if isinstance(self.params, dict) else {}
        unknown = {text for text in _unknown(given, self.argument_spec) if len(text) >= SHORTEST_SECRET}
        shaped = {secret for text in strings_in(given) for secret in shaped_like_secrets(text)}
        self.no_log_values.update(unknown | shaped)
        super().fail_json(msg, **more)


def _unknown(given: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[str]:
    """Texts under names that no option has: a credential, more often than not."""
    aliases = {alias for option in known.values() for alias in option.get("aliases") or ()}
    for name, value in given.items():
        option = known.get(name)
        if option is None:
            if name in aliases:
                continue
            if not str(name).startswith("_ansible_"):
                yield from strings_in(value)
        elif option.get("options"):
            for inner in value if isinstance(value, list) else [value]:
                if isinstance(inner, dict):
                    yield from _unknown(inner, option["options"])


class Call:
    """What a module body may know of its invocation."""

    def __init__(self, module: _Module) -> None:
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
    module = _Module(argument_spec=argument_spec, supports_check_mode=True, **options)
    failure: Optional[Dict[str, Any]] = None
    result: Dict[str, Any] = {}
    try:
        result = body(Call(module))
    except LifeboatError as error:
        failure = error.as_result()
    # Outside of the handler: ansible-core would add a traceback to what is no defect.
    if failure is not None:
        module.fail_json(**failure)
    result.setdefault("changed", False)
    module.exit_json(**result)
