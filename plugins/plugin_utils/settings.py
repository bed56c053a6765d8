# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of Ansible that would end a run in its middle, or leave steps of it out: they are refused before anything is done.

What plays, roles and tests make harmless is not among them: host_pattern_mismatch, few forks, strategies, fact caches, injected facts, any_errors_fatal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Mapping, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

# No task of a playbook has tags of its own but the first one, which has to run whatever is chosen.
_EVERY_TASK = {"all", "untagged"}
_NO_TASK_LEFT = {"all", "always", "untagged"}


class SettingError(LifeboatError):
    """A setting of Ansible does not go with this playbook."""


@dataclass(frozen=True)
class Settings:
    """What Ansible was told, on the command line, in its environment or in ansible.cfg."""

    tags: Sequence[str] = ("all",)
    skip_tags: Sequence[str] = ()
    step: bool = False
    task_timeout: int = 0

    @classmethod
    def of(cls, arguments: Mapping[str, Any], task_timeout: int) -> Settings:
        """Read them from the arguments of ansible-playbook, which hold the configured values where none was given."""
        return cls(
            tags=[str(tag) for tag in arguments.get("tags") or ("all",)],
            skip_tags=[str(tag) for tag in arguments.get("skip_tags") or ()],
            step=bool(arguments.get("step")),
            task_timeout=int(task_timeout or 0),
        )


def problems(settings: Settings, playbook: str, changes_cluster: bool) -> List[SettingError]:
    """What is wrong, each with how to do without it."""
    found = []
    if not _EVERY_TASK & set(settings.tags) or _NO_TASK_LEFT & set(settings.skip_tags):
        found.append(
            SettingError(
                "Tags would leave out all steps of %s, and it would end as if it had done its work." % playbook,
                tried="read --tags (ANSIBLE_RUN_TAGS) and --skip-tags (ANSIBLE_SKIP_TAGS)",
                found="tags %s, skipped tags %s" % (", ".join(settings.tags), ", ".join(settings.skip_tags) or "none"),
                remedy="Run it without them: no step of this collection has tags. In AWX, empty the fields Job Tags and Skip Tags.",
            )
        )
    if not changes_cluster:
        return found
    if settings.step:
        found.append(
            SettingError(
                "With --step each safety check of %s could be left out." % playbook,
                tried="read --step",
                found="it is set",
                remedy="Run it without --step; with --check it shows what it would do.",
            )
        )
    if settings.task_timeout:
        found.append(
            SettingError(
                "A limit on the time of a task would stop %s in the middle of a change." % playbook,
                tried="read task_timeout ([defaults] in ansible.cfg, ANSIBLE_TASK_TIMEOUT)",
                found="%d seconds" % settings.task_timeout,
                remedy="Run it with ANSIBLE_TASK_TIMEOUT=0: a large artifact may be under way for longer, and every wait here has an end of its own.",
            )
        )
    return found
