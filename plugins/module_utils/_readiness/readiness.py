# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this cluster could be recovered today, as far as its location can tell: what is read there, and how it is said to people and to Prometheus."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any, Dict, FrozenSet, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from ansible_collections.lifeboat.cluster.plugins.module_utils._catalog import catalog, freshness, schedule
from ansible_collections.lifeboat.cluster.plugins.module_utils._evidence.formats import Metrics
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point import points
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest import pieces, results, validity
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.known import is_from_the_future
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.manifest import Manifest
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.manifest.results import ResultName
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust import escrow, signing
from ansible_collections.lifeboat.cluster.plugins.module_utils._recovery_point.trust.trust import Trust
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage import names
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.clocks import is_future
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.errors import SignatureError, SignedByStrangerError
from ansible_collections.lifeboat.cluster.plugins.module_utils._storage.location import Location
from ansible_collections.lifeboat.cluster.plugins.module_utils.errors import LifeboatError

# States of a point that somebody has to look at: its bytes are not the ones that were written, or are not to be had.
ALARMING = ("broken", "tampered", "unreadable")
# The states of so many points are looked at: each costs a signature check. Older ones are read only where the newest verified one is not among these.
RECENT_POINTS = 200
# So many of the newest points, and of their verifications, are measured.
MEASURED_RUNS = 10
# Certificates that end within so many days are named before they do: a recovery may come after they ended.
ENDING_DAYS = 30
# Room that the next backup needs at least, when nothing is known of the last one.
_LEAST_BYTES = 64 << 20
_OPENS = names.LEVELS[names.LEVELS.index("opened") :]
# Stages of a backup before its point is opened.
_BEFORE_OPENING = ("discover", "preflight")
_RUN_TIME = re.compile(r"\A([0-9]{8}T[0-9]{6}Z)-")


class Wishes(NamedTuple):
    """What was promised, and with whose keys the cluster is backed up."""

    rpo_targets: Mapping[str, Any]
    rpo_target_seconds: Any
    proof_days: int
    drill_days: int
    recipients: Sequence[str]
    signing_key: Optional[str]


class Believed(NamedTuple):
    """What the signed results of a point say of its contents."""

    verified_at: Optional[datetime]
    reason: str
    # Results that nobody believes, and why: id of the point and sentence.
    doubtful: List[str]


def verification_of(location: Location, cluster: str, point: str, found: Sequence[ResultName], trust: Trust) -> Believed:
    """Whether the newest believed result at level opened or higher passed, and none later failed; read newest first, and no further than needed."""
    doubtful: List[str] = []
    for name in sorted(found, key=lambda each: (each.at, not each.passed), reverse=True):
        if name.kind == escrow.KIND or (name.passed and name.level not in _OPENS):
            continue
        try:
            results.read_believed(location, name, cluster, point, trust)
        except catalog.OF_NO_POINT:
            raise
        except LifeboatError as error:
            doubtful.append("%s: %s" % (point, error.message))
            continue
        when = names.format_time(name.at)
        return Believed(name.at, "", doubtful) if name.passed else Believed(None, "its %s of %s failed" % (name.kind, when), doubtful)
    return Believed(None, "its results are not believed" if doubtful else "never verified", doubtful)


class Look:
    """One look at a location. Raises TargetError when nothing was promised."""

    def __init__(self, location: Location, found: catalog.Catalog, trust: Trust, wishes: Wishes) -> None:
        self._location = location
        self._catalog = found
        self._cluster = found.cluster
        self._trust = trust
        self._wishes = wishes
        self._now = found.now
        self._lacks = location.lacks()
        self._doubtful: List[str] = []
        self._verifications_read: Dict[str, freshness.Verification] = {}
        # Those from the future have the newest ids, and take no place of the others.
        early = sum(is_from_the_future(identifier, self._now) for identifier in found.known)
        self._recent = found.find(limit=RECENT_POINTS + early)
        self._usable = _newest_first(self._recent)
        self._whole = [manifest for manifest in self._usable if manifest.covers(())]
        self._newest = self._whole[0] if self._whole else None
        self.targets = freshness.targets_of(
            wishes.rpo_targets, wishes.rpo_target_seconds, _components(self._newest) if self._newest else points.REQUIRED_COMPONENTS
        )
        # The schedule that meets them.
        self.timetable = schedule.plan(self.targets, self._backups(), self._verifications())

    def record(self) -> Dict[str, Any]:
        """All of it as plain data."""
        newest = self._newest
        components = freshness.assess(self._seen(), self.targets, self._now, self._expected(), RECENT_POINTS)
        return {
            "cluster": self._cluster,
            "at": names.format_time(self._now),
            "location": self._location.describe(),
            "write_once": not self._lacks,
            "lacks": self._lacks,
            "targets": self.targets,
            "components": [component.to_record() for component in components],
            "newest": {"id": newest.id, "taken_at": newest.taken_at, "recipients": [escrow.normal(text) for text in newest.recipients]} if newest else None,
            "certificates": certificates(newest, self._now) if newest else [],
            "points": self._states(),
            "alarming": self._alarming(),
            "future": ["%s: %s" % (point.id, point.reason) for point in self._recent if point.state == catalog.IN_THE_FUTURE],
            "doubtful": self._doubtful[:10],
            "recipients": self._recipients(),
            "proof_days": self._wishes.proof_days,
            "wanted_recipients": [escrow.normal(text) for text in self._wishes.recipients],
            "drill": self._drill(),
            "signing": signing_pair(self._wishes.signing_key, self._trust),
            "writable": self._writable(),
            "schedule": self.timetable.to_record(),
            "cluster_facts": _cluster_facts(newest) if newest else {"nodes": {}, "service_cidrs": [], "pod_cidrs": [], "images": []},
        }

    def _expected(self) -> Dict[str, FrozenSet[str]]:
        """The machines of each component: those that the newest point of the whole cluster that names it holds or misses."""
        found: Dict[str, FrozenSet[str]] = {}
        for manifest in self._whole:
            named = pieces.held(manifest) | pieces.missing(manifest)
            for component in {component for component, _machine in named} - set(found):
                found[component] = frozenset(machine for name, machine in named if name == component)
        return found

    def _seen(self) -> Iterator[freshness.Seen]:
        """Usable points, the newest first: those that are read anyway, then as many older ones as somebody asks for, one by one."""
        for manifest in self._usable:
            yield self._as_seen(manifest)
        read = {point.id for point in self._recent}
        for identifier in reversed([entry.id for entry in self._catalog.known.values() if entry.manifest and entry.id not in read]):
            for manifest in _newest_first([self._catalog.get(identifier)] if names.is_point_id(identifier) else []):
                yield self._as_seen(manifest)

    def _as_seen(self, manifest: Manifest) -> freshness.Seen:
        return freshness.Seen(
            manifest.id,
            names.parse_time(manifest.taken_at),
            pieces.held(manifest),
            manifest.covers(()),
            lambda: self._verification(manifest.id),
            pieces.missing(manifest),
        )

    def _verification(self, point: str) -> freshness.Verification:
        if point not in self._verifications_read:
            believed = verification_of(self._location, self._cluster, point, self._results_of(point), self._trust)
            self._doubtful += believed.doubtful
            self._verifications_read[point] = freshness.Verification(believed.verified_at, believed.reason)
        return self._verifications_read[point]

    def _results_of(self, point: str) -> Sequence[ResultName]:
        return self._catalog.known[point].results

    def _all_results(self) -> Dict[str, Sequence[ResultName]]:
        """By point, but for those from the future: they would be the newest for years, and prove nothing."""
        return {
            entry.id: [result for result in entry.results if not is_future(result.at, self._now)] for entry in self._catalog.known.values() if entry.results
        }

    def _states(self) -> Dict[str, int]:
        counts: Dict[str, int] = {}
        read = {point.id for point in self._recent}
        states = [point.state for point in self._recent]
        states += ["tampered" for entry in self._catalog.known.values() if entry.overlaid and entry.id not in read]
        for state in states + ["gone"] * len(self._catalog.gaps()):
            counts[state] = counts.get(state, 0) + 1
        return dict(sorted(counts.items()))

    def _alarming(self) -> List[str]:
        """Of the newest points what is not as it was written; of all points what was laid over an original; and points that are gone."""
        found = {point.id: "%s is %s: %s" % (point.id, point.state, point.reason) for point in self._recent if point.state in ALARMING or point.overlaid}
        for entry in self._catalog.known.values():
            if entry.overlaid:
                found.setdefault(entry.id, "%s is tampered: something was laid over %s" % (entry.id, ", ".join(entry.overlaid)))
        gone = ["%s is gone: later points name it, and nothing says that it was pruned" % point for point in self._catalog.gaps()]
        return [found[point] for point in sorted(found)] + gone

    def _recipients(self) -> List[Dict[str, Any]]:
        """Of the newest point of the whole cluster."""
        if self._newest is None:
            return []
        wanted = list(dict.fromkeys(escrow.normal(text) for text in self._newest.recipients))
        proofs = escrow.last_proofs(self._location, self._cluster, self._all_results(), wanted, self._trust)
        return [self._recipient(recipient, proofs.get(recipient)) for recipient in wanted]

    def _recipient(self, recipient: str, proof: Optional[escrow.Proven]) -> Dict[str, Any]:
        age = int((self._now - proof.at).total_seconds()) if proof else None
        in_time = age is not None and age <= self._wishes.proof_days * 86400
        if proof is None or age is None:
            text = "never proven"
        elif not proof.passed:
            text = "could not open %s on %s" % (proof.point, names.format_time(proof.at))
        else:
            text = "proven %s ago%s" % (freshness.span(age), "" if in_time else ", more than %d days" % self._wishes.proof_days)
        return {
            "recipient": recipient,
            "proven": bool(proof and proof.passed and in_time),
            "proven_at": names.format_time(proof.at) if proof and proof.passed else None,
            "point": proof.point if proof else None,
            "text": text,
        }

    def _drill(self) -> Dict[str, Any]:
        """The newest drill that passed, by a signed result."""
        drills = [(name.at, point, name) for point, found in self._all_results().items() for name in found if name.kind == "drill" and name.passed]
        for at, point, name in sorted(drills, reverse=True):
            try:
                results.read_believed(self._location, name, self._cluster, point, self._trust)
            except catalog.OF_NO_POINT:
                raise
            except LifeboatError:
                continue
            age = int((self._now - at).total_seconds())
            recent = age <= self._wishes.drill_days * 86400
            return {"at": names.format_time(at), "point": point, "age_seconds": age, "recent": recent, "text": "%s ago, of %s" % (freshness.span(age), point)}
        return {"at": None, "point": None, "age_seconds": None, "recent": False, "text": "never"}

    def _writable(self) -> Dict[str, Any]:
        """Whether the next backup would find room; as large as the last one."""
        needed = max(_LEAST_BYTES, self._newest.size_bytes if self._newest else 0)
        try:
            self._location.check_writable(needed)
        except LifeboatError as error:
            return {"writable": False, "needed_bytes": needed, "problem": "%s%s" % (error.message, ": " + error.found if error.found else "")}
        return {"writable": True, "needed_bytes": needed, "problem": ""}

    # -- how long things take -------------------------------------------------------------------------------------------------------

    def _backups(self) -> schedule.Measured:
        """From the first look at a machine to the seal."""
        seconds: List[int] = []
        for manifest in self._whole[:MEASURED_RUNS]:
            before = sum(value for stage, value in manifest.durations.items() if stage in _BEFORE_OPENING and isinstance(value, (int, float)))
            taking = names.parse_time(manifest.sealed_at) - names.parse_time(manifest.opened_at)
            seconds.append(int(taking.total_seconds() + before))
        return schedule.Measured(max(seconds, default=None), len(seconds))

    def _verifications(self) -> schedule.Measured:
        """From the start of the run to the result; of backups and drills that verify on their way nothing is learned."""
        verified = [(name.at, manifest.id, name) for manifest in self._whole for name in self._results_of(manifest.id) if _is_verification(name)]
        seconds: List[int] = []
        for at, point, name in sorted(verified, reverse=True)[:MEASURED_RUNS]:
            try:
                begun = _run_time(results.read_believed(self._location, name, self._cluster, point, self._trust).run_id)
            except catalog.OF_NO_POINT:
                raise
            except LifeboatError:
                continue
            if begun and begun <= at:
                seconds.append(int((at - begun).total_seconds()))
        return schedule.Measured(max(seconds, default=None), len(seconds))


def _newest_first(points: Iterable[catalog.Point]) -> List[Manifest]:
    usable = [point.manifest for point in points if point.usable and point.manifest]
    return sorted(usable, key=lambda manifest: (manifest.taken_at, manifest.id), reverse=True)


def _is_verification(name: ResultName) -> bool:
    return name.kind == "verification" and name.passed and name.level in _OPENS


def _run_time(run_id: str) -> Optional[datetime]:
    """When a run began: its id says it."""
    match = _RUN_TIME.match(run_id)
    try:
        return datetime.strptime(match.group(1), "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc) if match else None
    except ValueError:
        return None


def _components(manifest: Manifest) -> List[str]:
    """What a backup of now would hold: also that of which everything is missing."""
    return sorted({component for component, _machine in pieces.held(manifest) | pieces.missing(manifest)})


def certificates(manifest: Manifest, now: datetime) -> List[Dict[str, Any]]:
    """For each machine whose certificates the backup named, the one that ends first.

    With ``machine``, ``path``, ``ends_at``, ``seconds_left`` (below 0 once it ended), ``state`` (``valid``, ``ending``, ``expired``), ``expired`` (how many
    are) and ``text``.
    """
    found = []
    artifacts = [artifact.to_record() for artifact in manifest.artifacts]
    for host, node in sorted(manifest.nodes.items()):
        ends = validity.ends(artifacts, host, (node.get("certificates") or []) if isinstance(node, dict) else [])
        if not ends:
            continue
        left = {path: int((names.parse_time(end) - now).total_seconds()) for path, end in ends.items()}
        path = min(left, key=lambda each: (left[each], each))
        state = "expired" if left[path] < 0 else "ending" if left[path] < ENDING_DAYS * 86400 else "valid"
        expired = sum(seconds < 0 for seconds in left.values())
        row = {"machine": host, "path": path, "ends_at": ends[path], "seconds_left": left[path], "state": state, "expired": expired}
        found.append(dict(row, text=_ending(row)))
    return found


def _ending(row: Mapping[str, Any]) -> str:
    """Which ends first, and when."""
    if row["state"] != "expired":
        return "%s ends in %s%s" % (row["path"], freshness.span(row["seconds_left"]), "" if row["state"] == "valid" else ", at %s" % row["ends_at"])
    more = " and %d more" % (row["expired"] - 1) if row["expired"] > 1 else ""
    return "%s ENDED %s ago, at %s%s" % (row["path"], freshness.span(-row["seconds_left"]), row["ends_at"], more)


def _cluster_facts(manifest: Manifest) -> Dict[str, Any]:
    """What a point tells of the cluster that a circle can close through: its machines, its networks, the images that it cannot start without."""
    pods = [pod for artifact in manifest.artifacts for pod in artifact.contents.get("static_pods") or []]
    options = [pod.get("options") or {} for pod in pods]
    return {
        "nodes": {
            host: sorted({str(node.get(key)) for key in ("name", "address") if node.get(key)})
            for host, node in manifest.nodes.items()
            if isinstance(node, dict)
        },
        "service_cidrs": _values(options, "service-cluster-ip-range"),
        "pod_cidrs": _values(options, "cluster-cidr"),
        "images": sorted({str(pod["image"]) for pod in pods if pod.get("image")}),
    }


def _values(options: Iterable[Mapping[str, Any]], name: str) -> List[str]:
    return sorted({part.strip() for each in options for part in str(each.get(name) or "").split(",") if part.strip()})


def signing_pair(signing_key: Optional[str], trust: Trust) -> Dict[str, Any]:
    """Whether what this controller signs would be believed: ``fits`` is null where it has no signing key."""
    if not signing_key:
        return {
            "fits": None,
            "signer": None,
            "text": "this controller has no signing key",
            "remedy": "where backups, verifications or proofs are made, set lifeboat_signing_key to an SSH private key, and put its public half into "
            "lifeboat_allowed_signers; without it no backup that is made here can be used",
        }
    if trust.allowed_signers is None:
        return {"fits": False, "signer": None, "text": "nobody said who may sign", "remedy": "set lifeboat_allowed_signers to the file that names them"}
    probe = b"Would this be believed?\n"
    try:
        signers = {
            signing.verify(probe, signing.sign(probe, signing_key, namespace), namespace, trust.allowed_signers, "A probe", trust.signer).principal
            for namespace in (signing.MANIFEST_NAMESPACE, signing.RESULT_NAMESPACE)
        }
    except SignedByStrangerError:
        text = "the allowed signers %s do not have %s%s" % (trust.allowed_signers, signing_key, " under the name %s" % trust.signer if trust.signer else "")
        remedy = "put the public half of lifeboat_signing_key into lifeboat_allowed_signers; without it no backup that is made here can be used"
        return {"fits": False, "signer": None, "text": text, "remedy": remedy}
    except SignatureError as error:
        text = "%s%s (%s)" % (error.message, ": " + error.found if error.found else "", signing_key)
        return {"fits": False, "signer": None, "text": text, "remedy": error.remedy}
    return {"fits": True, "signer": "/".join(sorted(signers)), "text": "%s signs as %s" % (signing_key, "/".join(sorted(signers))), "remedy": ""}


# -- for people and for Prometheus --------------------------------------------------------------------------------------------------


def table(record: Mapping[str, Any]) -> List[str]:
    """The state as a person reads it, a line each."""
    line = "%-16s %-11s %10s %10s  %s"
    lines = [line % ("COMPONENT", "VERDICT", "AGE", "TARGET", "NEWEST VERIFIED POINT")]
    for row in record["components"]:
        rest = row["point"] or "none"
        if row["missing"]:
            rest += ", without %s" % ", ".join(row["missing"])
        if row["unverified"]:
            more = " and %d more" % (len(row["unverified"]) - 1) if len(row["unverified"]) > 1 else ""
            rest += "; not verified: %s (%s)%s" % (row["unverified"][0]["id"], row["unverified"][0]["reason"], more)
        target = freshness.span(row["target_seconds"])
        lines.append(line % (row["component"], _word(row["verdict"]), _age(row["age_seconds"]), target, rest))
        for entry in row["machines"]:
            lines.append(line % ("  of %s" % entry["machine"], _word(entry["verdict"]), _age(entry["age_seconds"]), target, entry["point"] or entry["text"]))
    lines += ["", "RECIPIENTS OF THE NEWEST POINT" + (" (%s)" % record["newest"]["id"] if record["newest"] else ": there is none")]
    lines += ["%s  %s" % (_shown(row["recipient"]), row["text"]) for row in record["recipients"]]
    lines += ["", "CERTIFICATES THAT END FIRST, OF THE NEWEST POINT"] if record["certificates"] else []
    lines += ["%-16s %s" % (row["machine"], row["text"]) for row in record["certificates"]]
    counts = ", ".join("%d %s" % (count, state) for state, count in record["points"].items()) or "none"
    lines += ["", "Points: %s. Last drill: %s." % (counts, record["drill"]["text"])]
    lines += ["", "Location: write-once." if record["write_once"] else "Location: not write-once, %s." % record["lacks"]]
    lines += ["", "SCHEDULE"] + record["schedule"]["arithmetic"]
    return lines


def _word(verdict: str) -> str:
    return verdict if verdict == "fresh" else verdict.upper()


def _age(seconds: Optional[int]) -> str:
    return "-" if seconds is None else freshness.span(seconds)


def _shown(recipient: str) -> str:
    return recipient if len(recipient) <= 70 else "%s...%s" % (recipient[:40], recipient[-24:])


def _moment(text: Optional[str]) -> Optional[float]:
    return names.parse_time(text).timestamp() if text else None


def _worst_off(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where a component is oldest: the newest verified point, or that of the machine that is worst off. What has no time at all is oldest."""
    everything: List[Mapping[str, Any]] = [row, *row["machines"]]
    return min(everything, key=lambda entry: entry["taken_at"] or "")


def metrics(record: Mapping[str, Any]) -> str:
    """Gauges for the textfile collector of a node exporter. What is not known is absent; the alert rules look for that."""
    written = Metrics(cluster=record["cluster"])
    # The same words as in the metrics of a run: a family has one help text, whoever writes it.
    taken = written.family("lifeboat_newest_verified_recovery_point_timestamp_seconds", "When the newest verified recovery point was taken.")
    worst = {row["component"]: _worst_off(row) for row in record["components"]}
    for component, row in worst.items():
        taken(_moment(row["taken_at"]), component=component)
    age = written.family("lifeboat_newest_verified_recovery_point_age_seconds", "How old it was when this was written.")
    for component, row in worst.items():
        age(row["age_seconds"], component=component)
    without = written.family("lifeboat_machine_without_recovery_point", "A machine of which no verified recovery point that is young enough holds a component.")
    for row in record["components"]:
        for entry in row["machines"]:
            without(1, component=row["component"], machine=entry["machine"])
    target = written.family("lifeboat_rpo_target_seconds", "How old it may become.")
    for row in record["components"]:
        target(row["target_seconds"], component=row["component"])
    sealed = written.family("lifeboat_recipient_info", "To whom the newest recovery point is sealed.")
    for row in record["recipients"]:
        sealed(1, recipient=row["recipient"])
    proven = written.family("lifeboat_recipient_proven_timestamp_seconds", "When its private key last opened a recovery point; absent if it never did.")
    for row in record["recipients"]:
        proven(_moment(row["proven_at"]), recipient=row["recipient"])
    written.family("lifeboat_recipient_proof_target_seconds", "After how long it has to be proven again.")(record["proof_days"] * 86400)
    ends = written.family("lifeboat_recovery_point_certificate_end_timestamp_seconds", "When the first certificate of a machine in the newest point ends.")
    for row in record["certificates"]:
        ends(_moment(row["ends_at"]), machine=row["machine"])
    states = written.family("lifeboat_recovery_points", "The newest recovery points by state; gone are those that later ones name and that nobody pruned.")
    for state in (*catalog.STATES, "gone"):
        states(record["points"].get(state, 0), state=state)
    writable = written.family("lifeboat_location_writable", "Whether the location would take the next backup.")
    writable(1 if record["writable"]["writable"] else 0)
    written.family("lifeboat_location_write_once", "Whether what is written stays until its time is over, whoever takes the backup's credentials.")(
        1 if record["write_once"] else 0
    )
    written.family("lifeboat_last_drill_timestamp_seconds", "When a drill last passed; absent if none ever did.")(_moment(record["drill"]["at"]))
    interval = written.family("lifeboat_schedule_interval_seconds", "How often a playbook has to run to meet the targets; absent if no schedule meets them.")
    for playbook in schedule.JOBS:
        interval(record["schedule"]["interval_seconds"], playbook=playbook)
    written.family("lifeboat_readiness_timestamp_seconds", "When this was written.")(_moment(record["at"]))
    return written.text()
