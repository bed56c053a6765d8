# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What whoever waits gets to see."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of modules that read or write whole recovery points."""

    DOCUMENTATION = r"""
options:
  progress_file:
    description:
      - An existing file to which a line is appended now and then, when reading and writing takes more than some seconds.
      - Without it, where the module runs on the controller, these lines are shown while it runs.
    type: path
"""
