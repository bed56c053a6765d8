# Copyright: (c) 2026, Lifeboat contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects of the workload: plain data, the same for every call but for the values of Secrets.

Nothing here fights with a controller: what would be scheduled, scaled or called does nothing, but for a few pods that really run.
"""

from __future__ import annotations

import base64
import random
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tests.workload.api import Object

NAMESPACES = tuple(f"team-{name}" for name in ("amber", "basalt", "cedar", "dune", "ember", "fjord"))
RUNNING = "team-amber"
IMAGE = "lab.internal/workload:1"
GROUP = "workload.lifeboat.test"
LABEL = {"app.kubernetes.io/part-of": "lifeboat-workload"}


@dataclass(frozen=True)
class Placed:
    """An object and the collection that it is posted to."""

    path: str
    body: Object


@dataclass(frozen=True)
class Recipe:
    """One kind: where it is posted, how large its share is, and how one is made."""

    collection: str
    share: int
    make: Callable[[int, random.Random], Object]
    namespaced: bool = True
    at_most: int = 10_000

    def path(self, namespace: str) -> str:
        """The collection in a namespace."""
        root, _slash, resource = self.collection.rpartition("/")
        return f"{root}/namespaces/{namespace}/{resource}" if self.namespaced else self.collection


def _words(source: random.Random, count: int) -> str:
    return " ".join("".join(source.choices("abcdefghijklmnopqrstuvwxyz", k=source.randint(3, 10))) for _number in range(count))


def _encoded(plain: bytes) -> str:
    return base64.b64encode(plain).decode()


def _container(**more: object) -> Object:
    return {"name": "main", "image": IMAGE, "imagePullPolicy": "Never", **more}


def _nowhere() -> Object:
    """A pod that no node takes, should anybody ask for one."""
    return {"nodeSelector": {f"{GROUP}/nowhere": "true"}, "terminationGracePeriodSeconds": 1, "containers": [_container()]}


def _template(name: str, spec: Object | None = None) -> Object:
    return {"metadata": {"labels": {"app": name}}, "spec": spec or _nowhere()}


def _config_map(number: int, source: random.Random) -> Object:
    properties = f"number={number}\n{_words(source, 30)}\n"
    return {"data": {"application.properties": properties, "feature": "on"}, "binaryData": {"blob": _encoded(source.randbytes(64))}}


def _secret(number: int, source: random.Random) -> Object:
    plain = {"username": f"user-{number}".encode(), "password": secrets.token_urlsafe(18).encode(), "key": source.randbytes(48)}
    return {"type": "Opaque", "data": {name: _encoded(value) for name, value in plain.items()}}


def _role(number: int, _source: random.Random) -> Object:
    return {"rules": [{"apiGroups": [""], "resources": ["configmaps", "pods"], "verbs": ["get", "list"], "resourceNames": [f"name-{number}"]}]}


def _binding(kind: str) -> Callable[[int, random.Random], Object]:
    def make(number: int, _source: random.Random) -> Object:
        subject = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": f"person-{number}"}
        return {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": f"item-{number:04d}"}, "subjects": [subject]}

    return make


def _service(number: int, _source: random.Random) -> Object:
    return {"spec": {"selector": {"app": f"service-{number}"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "metrics", "port": 9090}]}}


def _deployment(number: int, _source: random.Random) -> Object:
    name = f"idle-{number}"
    return {"spec": {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": _template(name)}}


def _replica_set(number: int, _source: random.Random) -> Object:
    name = f"set-{number}"
    return {"spec": {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": _template(name)}}


def _stateful_set(number: int, _source: random.Random) -> Object:
    name = f"stateful-{number}"
    return {"spec": {"replicas": 0, "serviceName": name, "selector": {"matchLabels": {"app": name}}, "template": _template(name)}}


def _daemon_set(number: int, _source: random.Random) -> Object:
    name = f"daemon-{number}"
    return {"spec": {"selector": {"matchLabels": {"app": name}}, "template": _template(name)}}


def _replication_controller(number: int, _source: random.Random) -> Object:
    name = f"controller-{number}"
    return {"spec": {"replicas": 0, "selector": {"app": name}, "template": _template(name)}}


def _job(number: int, _source: random.Random) -> Object:
    return {"spec": {"suspend": True, "template": {"spec": {**_nowhere(), "restartPolicy": "Never"}}, "backoffLimit": number % 5}}


def _cron_job(number: int, _source: random.Random) -> Object:
    job = {"spec": {"template": {"spec": {**_nowhere(), "restartPolicy": "Never"}}}}
    return {"spec": {"schedule": f"{number % 60} 3 * * *", "suspend": True, "jobTemplate": job}}


def _pod(number: int, _source: random.Random) -> Object:
    return {"spec": {**_nowhere(), "schedulingGates": [{"name": f"{GROUP}/gate-{number}"}]}}


def _pod_template(number: int, _source: random.Random) -> Object:
    return {"template": _template(f"template-{number}")}


def _network_policy(number: int, _source: random.Random) -> Object:
    ingress: list[Object] = [{"from": [{"namespaceSelector": {}}]}]
    return {"spec": {"podSelector": {"matchLabels": {"app": f"policy-{number}"}}, "policyTypes": ["Ingress"], "ingress": ingress}}


def _resource_quota(number: int, _source: random.Random) -> Object:
    return {"spec": {"hard": {"pods": str(1000 + number), "requests.cpu": "500"}, "scopes": ["Terminating"]}}


def _limit_range(number: int, _source: random.Random) -> Object:
    return {"spec": {"limits": [{"type": "PersistentVolumeClaim", "max": {"storage": f"{100 + number}Gi"}}]}}


def _disruption_budget(number: int, _source: random.Random) -> Object:
    return {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": f"budget-{number}"}}}}


def _autoscaler(number: int, _source: random.Random) -> Object:
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"absent-{number}"}
    return {"spec": {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 4, "metrics": [metric]}}


def _ingress(number: int, _source: random.Random) -> Object:
    backend = {"service": {"name": f"item-{number:04d}", "port": {"name": "http"}}}
    rule = {"host": f"app-{number}.lifeboat.test", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    return {"spec": {"ingressClassName": "item-0000", "rules": [rule]}}


def _endpoint_slice(number: int, _source: random.Random) -> Object:
    endpoint = {"addresses": [f"192.0.2.{number % 250 + 1}"], "conditions": {"ready": True}}
    return {"addressType": "IPv4", "endpoints": [endpoint], "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}


def _lease(number: int, _source: random.Random) -> Object:
    return {"spec": {"holderIdentity": f"holder-{number}", "leaseDurationSeconds": 3600}}


def _claim(number: int, _source: random.Random) -> Object:
    request = {"storage": "1Gi"}
    return {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": request}, "storageClassName": "item-0000", "volumeName": f"item-{number:04d}"}}


def _widget(number: int, source: random.Random) -> Object:
    return {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "spec": {"size": number, "text": _words(source, 10)}}


def _cluster_role(number: int, _source: random.Random) -> Object:
    return {"rules": [{"apiGroups": [GROUP], "resources": ["widgets"], "verbs": ["get"], "resourceNames": [f"name-{number}"]}]}


def _volume(number: int, _source: random.Random) -> Object:
    # The binder finishes a claim and a volume that name each other at once, and nobody provisions anything.
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": NAMESPACES[number % len(NAMESPACES)], "name": f"item-{number:04d}"}
    return {
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "item-0000",
            "claimRef": claim,
            "hostPath": {"path": f"/data/{number}"},
        }
    }


def _storage_class(_number: int, _source: random.Random) -> Object:
    return {"provisioner": f"{GROUP}/none", "volumeBindingMode": "Immediate"}


def _priority_class(number: int, _source: random.Random) -> Object:
    return {"value": 1000 + number, "description": "of the workload"}


def _ingress_class(_number: int, _source: random.Random) -> Object:
    return {"spec": {"controller": f"{GROUP}/none"}}


def _runtime_class(_number: int, _source: random.Random) -> Object:
    return {"handler": "runc"}


def _csi_driver(_number: int, _source: random.Random) -> Object:
    return {"spec": {"attachRequired": False, "podInfoOnMount": True}}


def _priority_level(_number: int, _source: random.Random) -> Object:
    return {"spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 1, "limitResponse": {"type": "Reject"}}}}


def _flow_schema(number: int, _source: random.Random) -> Object:
    rule = {
        "subjects": [{"kind": "User", "user": {"name": f"nobody-{number}"}}],
        "resourceRules": [{"verbs": ["get"], "apiGroups": [GROUP], "resources": ["widgets"], "namespaces": ["*"]}],
    }
    return {"spec": {"priorityLevelConfiguration": {"name": "item-0000"}, "matchingPrecedence": 9000 + number, "rules": [rule]}}


def _webhook(number: int, _source: random.Random) -> Object:
    webhook = {
        "name": f"hook-{number}.lifeboat.test",
        "clientConfig": {"url": "https://192.0.2.1/hook"},
        "failurePolicy": "Ignore",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
        "objectSelector": {"matchLabels": {f"{GROUP}/hooked": "yes"}},
        "rules": [{"apiGroups": [GROUP], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["widgets"]}],
    }
    return {"webhooks": [webhook]}


def _admission_policy(number: int, _source: random.Random) -> Object:
    rule = {"apiGroups": [GROUP], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["widgets"]}
    validation = {"expression": f"object.spec.size < {10000 + number}"}
    return {"spec": {"failurePolicy": "Ignore", "matchConstraints": {"resourceRules": [rule]}, "validations": [validation]}}


def _admission_binding(number: int, _source: random.Random) -> Object:
    return {"spec": {"policyName": f"item-{number:04d}", "validationActions": ["Audit"]}}


def _service_account(number: int, _source: random.Random) -> Object:
    return {"automountServiceAccountToken": bool(number % 2)}


RBAC = "/apis/rbac.authorization.k8s.io/v1"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
FLOW = "/apis/flowcontrol.apiserver.k8s.io/v1"

# Order matters only where one refers to another and the server checks it.
RECIPES = (
    Recipe("/apis/storage.k8s.io/v1/storageclasses", 5, _storage_class, False),
    Recipe("/apis/networking.k8s.io/v1/ingressclasses", 5, _ingress_class, False),
    Recipe("/apis/scheduling.k8s.io/v1/priorityclasses", 10, _priority_class, False),
    Recipe("/apis/node.k8s.io/v1/runtimeclasses", 5, _runtime_class, False),
    Recipe("/apis/storage.k8s.io/v1/csidrivers", 5, _csi_driver, False),
    Recipe(f"{FLOW}/prioritylevelconfigurations", 2, _priority_level, False, at_most=3),
    Recipe(f"{FLOW}/flowschemas", 5, _flow_schema, False),
    Recipe(f"{ADMISSION}/validatingwebhookconfigurations", 5, _webhook, False),
    Recipe(f"{ADMISSION}/mutatingwebhookconfigurations", 5, _webhook, False),
    Recipe(f"{ADMISSION}/validatingadmissionpolicies", 5, _admission_policy, False),
    Recipe(f"{ADMISSION}/validatingadmissionpolicybindings", 5, _admission_binding, False),
    Recipe(f"{RBAC}/clusterroles", 60, _cluster_role, False),
    Recipe(f"{RBAC}/clusterrolebindings", 60, _binding("ClusterRole"), False),
    Recipe("/api/v1/persistentvolumes", 30, _volume, False),
    Recipe("/api/v1/persistentvolumeclaims", 30, _claim),
    Recipe("/api/v1/configmaps", 480, _config_map),
    Recipe("/api/v1/secrets", 360, _secret),
    Recipe("/api/v1/serviceaccounts", 80, _service_account),
    Recipe("/api/v1/services", 60, _service),
    Recipe("/api/v1/podtemplates", 20, _pod_template),
    Recipe("/api/v1/pods", 10, _pod),
    Recipe("/api/v1/replicationcontrollers", 10, _replication_controller),
    Recipe("/api/v1/resourcequotas", 6, _resource_quota, at_most=6),
    Recipe("/api/v1/limitranges", 12, _limit_range),
    Recipe(f"{RBAC}/roles", 100, _role),
    Recipe(f"{RBAC}/rolebindings", 100, _binding("Role")),
    Recipe("/apis/apps/v1/deployments", 60, _deployment),
    Recipe("/apis/apps/v1/replicasets", 20, _replica_set),
    Recipe("/apis/apps/v1/statefulsets", 20, _stateful_set),
    Recipe("/apis/apps/v1/daemonsets", 20, _daemon_set),
    Recipe("/apis/batch/v1/jobs", 30, _job),
    Recipe("/apis/batch/v1/cronjobs", 30, _cron_job),
    Recipe("/apis/networking.k8s.io/v1/networkpolicies", 60, _network_policy),
    Recipe("/apis/networking.k8s.io/v1/ingresses", 40, _ingress),
    Recipe("/apis/policy/v1/poddisruptionbudgets", 20, _disruption_budget),
    Recipe("/apis/autoscaling/v2/horizontalpodautoscalers", 10, _autoscaler),
    Recipe("/apis/discovery.k8s.io/v1/endpointslices", 20, _endpoint_slice),
    Recipe("/apis/coordination.k8s.io/v1/leases", 20, _lease),
    Recipe(f"/apis/{GROUP}/v1/widgets", 185, _widget),
)


def namespaces() -> list[Placed]:
    """The namespaces, which have to be there before anything in them."""
    return [Placed("/api/v1/namespaces", {"metadata": {"name": name, "labels": LABEL}}) for name in NAMESPACES]


def definition() -> Placed:
    """The custom resource of the workload."""
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}, "text": {"type": "string"}}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    body = {"metadata": {"name": f"widgets.{GROUP}", "labels": LABEL}, "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]}}
    return Placed("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body)


def quiet(count: int, seed: int = 1) -> Iterator[Placed]:
    """About ``count`` objects that stay as they are, in the shares of the recipes."""
    source = random.Random(seed)
    total = sum(recipe.share for recipe in RECIPES)
    for recipe in RECIPES:
        for number in range(min(recipe.at_most, max(1, round(count * recipe.share / total)))):
            body = recipe.make(number, source)
            body["metadata"] = {"name": f"item-{number:04d}", "labels": {**LABEL, "number": str(number)}, "annotations": {f"{GROUP}/text": _words(source, 3)}}
            yield Placed(recipe.path(NAMESPACES[number % len(NAMESPACES)]), body)


def running() -> Iterator[Placed]:
    """A few pods that really run, on a worker where there is one, behind a service."""
    for name, replicas in (("web", 2), ("ledger", 1)):
        container = _container(ports=[{"containerPort": 8080}], volumeMounts=[{"name": "data", "mountPath": "/data"}])
        pod = {"terminationGracePeriodSeconds": 1, "containers": [container], "volumes": [{"name": "data", "emptyDir": {}}]}
        spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": _template(name, pod)}
        metadata = {"name": name, "labels": LABEL}
        yield Placed(f"/apis/apps/v1/namespaces/{RUNNING}/deployments", {"metadata": metadata, "spec": spec})
        port = {"port": 80, "targetPort": 8080}
        yield Placed(f"/api/v1/namespaces/{RUNNING}/services", {"metadata": metadata, "spec": {"selector": {"app": name}, "ports": [port]}})


def planted(values: Mapping[str, str]) -> Iterator[Placed]:
    """Secret values in every place of an object where people put them: Secrets, and also ConfigMaps, annotations and environments."""
    for name, value in values.items():
        metadata = {"name": f"planted-{name}", "labels": LABEL}
        yield Placed(
            f"/api/v1/namespaces/{RUNNING}/secrets", {"metadata": metadata, "stringData": {"password": value, "url": f"https://admin:{value}@db.test/"}}
        )
        annotated = {**metadata, "annotations": {f"{GROUP}/old": value}}
        yield Placed(f"/api/v1/namespaces/{RUNNING}/configmaps", {"metadata": annotated, "data": {"password": value}})
        pod = {"restartPolicy": "Never", **_nowhere(), "containers": [_container(env=[{"name": "PASSWORD", "value": value}])]}
        job = {"spec": {"template": {"spec": pod}}}
        spec = {"schedule": "0 4 * * *", "suspend": True, "jobTemplate": job}
        yield Placed(f"/apis/batch/v1/namespaces/{RUNNING}/cronjobs", {"metadata": metadata, "spec": spec})
