"""Which service accounts exist.

Surprise:  a namespace exists when anything lives in it, and an account when a pod, a deployment or a workload
           group runs as it. An API server would insist on the objects; the stories leave them out, so both
           ways count.
"""

from typing import Final

from lab.controlplane.kinds.kubernetes import DEFAULT_ACCOUNT, Deployment, Namespace, Pod
from lab.controlplane.kinds.kubernetes import ServiceAccount as AccountDocument
from lab.controlplane.kinds.workload import WorkloadGroup
from lab.controlplane.registry import World
from lab.controlplane.tokens import ServiceAccount

ALWAYS: Final = frozenset({"default", "istio-system", "kube-system"})
"""Namespaces of every cluster with Istio in it."""


def namespace_exists(world: World, namespace: str) -> bool:
    if namespace in ALWAYS or world.get(Namespace, namespace, namespace) is not None:
        return True
    return any(each.metadata.namespace == namespace for each in world.resources.values())


def account_problem(world: World, account: ServiceAccount) -> str:
    """Why the account cannot be used ("" if it can)."""
    namespace, name = account.namespace, account.name
    if not namespace_exists(world, namespace):
        return f"namespace {namespace} does not exist"
    if name == DEFAULT_ACCOUNT or world.get(AccountDocument, namespace, name) is not None:
        return ""
    named = {pod.service_account for pod in world.all(Pod, namespace)}
    named |= {deployment.service_account for deployment in world.all(Deployment, namespace)}
    named |= {group.template.service_account for group in world.all(WorkloadGroup, namespace)}
    return "" if name in named else f"service account {account} does not exist"
