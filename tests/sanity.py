# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-test sanity of any ansible-core, with a home of its own."""

from __future__ import annotations

import re
from pathlib import Path

from tests import environment
from tests.gates.support import interpreters, run_tool

PIP_CHATTER = re.compile(r"^( *(Collecting|Downloading|Installing|Successfully|Using cached|━).*\n)", flags=re.MULTILINE)

# ansible-test wants to fetch its own copy of get-pip; this stand-in hands its arguments to the pip wheel beside it.
GET_PIP = '''\
"""Stand-in for get-pip: the pip wheel in this directory does the work."""
import glob
import os
import sys

sys.path.insert(0, glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "pip-*.whl"))[0])

from pip._internal.cli.main import main

sys.exit(main(["install"] + [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]))
'''


def ansible_test_home(directory: Path) -> Path:
    """A home directory for ansible-test with its environments and what it needs to make them; the user's own stays untouched."""
    home = environment.cache_root() / "ansible-test"
    bootstrap = home / ".ansible" / "test" / "cache"
    source = next(directory.glob("lib/python3.*/site-packages/ansible_test/_internal/python_requirements.py"))
    version = re.search(r"\bpip='([0-9.]+)'", source.read_text())
    assert version, f"{source} no longer says which pip ansible-test wants: adapt this gate to the new ansible-core"
    with environment.locked(home.with_suffix(".lock")):
        wheel = bootstrap / f"pip-{version[1]}-py3-none-any.whl"
        if not wheel.exists():
            pip = (environment.build_venv() / "bin" / "python", "-m", "pip", "--disable-pip-version-check")
            run_tool([*pip, "download", "--quiet", "--no-deps", "--dest", str(bootstrap), f"pip=={version[1]}"], "is the package index within reach?")
        (bootstrap / f"get_pip_{version[1].replace('.', '_')}.py").write_text(GET_PIP)
        programs = home / "bin"
        programs.mkdir(exist_ok=True)
        for number, path in interpreters().items():
            link = programs / f"python{number}"
            if not link.is_symlink() or link.readlink() != path:
                link.unlink(missing_ok=True)
                link.symlink_to(path)
    return home


def run_sanity(directory: Path, copy: Path, options: list[str], timeout_seconds: int = 1200) -> str:
    """ansible-test sanity of the ansible-core in a virtual environment, in a copy of the collection; returns what it said."""
    home = ansible_test_home(directory)
    variables = {
        "HOME": str(home),
        "VIRTUAL_ENV": str(directory),
        "PATH": f"{home / 'bin'}:{environment.variables(directory)['PATH']}",
        "PIP_CACHE_DIR": str(environment.cache_root() / "pip"),
    }
    result = run_tool(
        [directory / "bin" / "ansible-test", "sanity", "--local", "--color", "no", "--truncate", "0", *options],
        "repair the named lines; this project has no sanity ignore file",
        directory=copy,
        variables=variables,
        timeout_seconds=timeout_seconds,
        noise=PIP_CHATTER,
    )
    return result.stdout + result.stderr
