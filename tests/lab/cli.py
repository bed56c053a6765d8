# Copyright: (c) 2026, Lifeboat contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the lab."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence

from . import upkeep
from .errors import LabError
from .faults import FAULTS
from .lab import Lab
from .progress import Progress
from .state import LabStore
from .topology import TOPOLOGIES
from .traits import EVERYWHERE, PRESETS, TRAITS

_TOPOLOGIES = """\
topologies:
  single          one node: cp1
  ha              three control plane nodes cp1 cp2 cp3, one worker w1, a load balancer
  caasp           CaaSP v3: admin node admin, masters m1 m2, workers w1 w2, etcd on m1 m2 w1, a load balancer
"""


def _traits() -> str:
    """Traits and presets for the help."""
    lines = ["traits (up --trait):"]
    for trait in TRAITS.values():
        kinds = "" if trait.kinds == EVERYWHERE else f" ({' '.join(trait.kinds)})"
        lines.append(f"  {trait.usage:<24} {trait.about}{kinds}")
    return "\n".join([*lines, "presets:", *(f"  {name:<24} {' '.join(words)}" for name, words in PRESETS.items()), ""])


def _parser() -> argparse.ArgumentParser:
    faults = "faults:\n" + "\n".join(f"  {name:<15} {fault.about}" for name, fault in FAULTS.items())
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.lab",
        description="Real Kubernetes clusters on this machine, out of systemd-nspawn machines. Run as root from the repository.",
        epilog=f"{_TOPOLOGIES}\n{_traits()}\n{faults}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, about: str, action: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        added.set_defaults(action=action)
        return added

    def with_nodes(added: argparse.ArgumentParser) -> None:
        added.add_argument("nodes", nargs="*", metavar="NODE", help="default: all nodes")

    def with_install(added: argparse.ArgumentParser) -> None:
        added.add_argument("--install", action="store_true", help="install missing Debian packages on this machine")

    up = verb("up", "make a lab; one of the same name is thrown away first", _up)
    up.add_argument("topology", choices=TOPOLOGIES)
    up.add_argument("--name", help="default: the topology")
    up.add_argument("--trait", action="append", default=[], metavar="TRAIT[=VALUE]", help="unlike the plain lab; may be given several times")
    with_install(up)

    down = verb("down", "remove a lab and all it left, also a half-made one", lambda o: Lab.open(o.name).down())
    down.add_argument("name")

    status = verb("status", "show a lab, or all labs", _status)
    status.add_argument("name", nargs="?")
    status.add_argument("--json", action="store_true", help="for programs")

    ssh = verb("ssh", "open a shell on a node, or run a command there: ssh NAME NODE -- COMMAND", _ssh)
    ssh.add_argument("name")
    ssh.add_argument("node")
    ssh.add_argument("command", nargs=argparse.REMAINDER)

    reset = verb("reset", "give nodes new disks: those of the finished cluster", lambda o: Lab.open(o.name).reset(o.nodes, o.bare))
    reset.add_argument("name")
    with_nodes(reset)
    reset.add_argument("--bare", action="store_true", help="freshly provisioned machines instead: nothing of a cluster on them")

    for name, about, action in (
        ("break", "break nodes in one way", lambda o: Lab.open(o.name).break_(o.fault, *o.nodes)),
        ("heal", "take a fault back", lambda o: Lab.open(o.name).heal(o.fault, *o.nodes)),
    ):
        added = verb(name, about, action)
        added.add_argument("name")
        added.add_argument("fault", choices=tuple(FAULTS))
        with_nodes(added)

    build = verb("build", "make binaries, operating system and bare machine in advance", lambda o: upkeep.build(Progress(), install=o.install))
    with_install(build)
    verb("clean", "remove cache entries that neither the present sources nor any lab need", _clean)
    return parser


def _up(options: argparse.Namespace) -> None:
    Lab.open(options.name or options.topology, install=options.install).up(options.topology, options.trait)


def _status(options: argparse.Namespace) -> None:
    found = [Lab.open(name).status() for name in ([options.name] if options.name else LabStore().names())]
    if options.json:
        print(json.dumps(found[0] if options.name else found, indent=2))
        return
    if not found:
        print("no labs")
    for lab in found:
        balancer = lab["load_balancer"]
        nodes = lab["nodes"]
        assert isinstance(balancer, dict)
        traits = lab["traits"]
        assert isinstance(nodes, dict)
        assert isinstance(traits, list)
        state = "runs" if balancer["running"] else "is down"
        print(f"{lab['name']}: {lab['topology']} on {lab['subnet']}, API {lab['api_server']}, load balancer {state}, cgroups {lab['cgroups']}")
        if traits:
            print(f"  traits: {' '.join(traits)}")
        for name, node in nodes.items():
            print(f"  {name:<6} {node['address']:<14} {'on' if node['running'] else 'off':<4} network {node['network']}")


def _ssh(options: argparse.Namespace) -> None:
    lab = Lab.open(options.name)
    lab.topology.node(options.node)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    os.execvp("ssh", ["ssh", "-F", str(lab.ssh_config), options.node, *command])


def _clean(_options: argparse.Namespace) -> None:
    for path in upkeep.clean(Progress()):
        print(path)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The arguments; argparse by itself takes no nodes after an option (`reset NAME --bare NODE`)."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and ("nodes" not in options or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.nodes = [*options.nodes, *rest]
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, do, and say what went wrong in words."""
    options = parse(arguments)
    try:
        options.action(options)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; `down` or the next `up` of this lab cleans up", file=sys.stderr)
        return 130
    return 0
