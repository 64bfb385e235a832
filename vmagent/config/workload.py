"""The files that take a VM into the mesh, from its WorkloadGroup, as istioctl writes them, key for key.

Owns:      the WorkloadGroup document and the contents of mesh.yaml, cluster.env and hosts.
Does not:  fetch or write anything (entry.py, cli/entry.py).
Surprise:  three things differ from istioctl on purpose: ports are in order, a mesh-wide probe is kept where
           the group has none, and TRUST_DOMAIN is never empty (to Istio's agent an empty one counts).
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from vmagent.config import meshfile, schema, syntax
from vmagent.config.model import Json
from vmagent.config.problem import Problem, misconfigured
from vmagent.config.proxyconfig import READINESS_PROBE, overlay
from vmagent.config.schema import PORT, TEXT, UINT32, MapOf, Message, Open

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OVERRIDES = "proxy.istio.io/config"
_NAME, _REVISION = "service.istio.io/canonical-name", "service.istio.io/canonical-revision"

WORKLOAD_GROUP: Final = Message(
    {
        "apiVersion": TEXT,
        "kind": TEXT,
        "metadata": Open(),
        "status": Open(),
        "spec": Message(
            {
                "metadata": Message({"labels": MapOf(TEXT), "annotations": MapOf(TEXT)}),
                "template": Message(
                    {
                        "address": TEXT,
                        "ports": MapOf(PORT),
                        "labels": MapOf(TEXT),
                        "network": TEXT,
                        "locality": TEXT,
                        "weight": UINT32,
                        "serviceAccount": TEXT,
                    }
                ),
                "probe": READINESS_PROBE,
            }
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A WorkloadGroup, defaults filled in."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    """Of the group, those of its template above them."""
    ports: Mapping[str, int]
    service_account: str
    network: str
    probe: Mapping[str, Json] | None
    overrides: tuple[str, ...]
    """ProxyConfig documents of its annotations, the later one above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the command line adds."""

    cluster_id: str
    ingress_ip: str = ""
    autoregister: bool = False
    capture_dns: bool = True
    internal_ip: str = ""
    external_ip: str = ""
    revision: str = ""
    istio_namespace: str = "istio-system"

    @property
    def istiod(self) -> str:
        """``istiod.istio-system.svc``, with the revision if it is not the default one."""
        suffix = "" if self.revision in ("", "default") else f"-{self.revision}"
        return f"istiod{suffix}.{self.istio_namespace}.svc"


# --- the group --------------------------------------------------------------------------------------------


def group(data: bytes, where: str) -> Group:
    """The WorkloadGroup among the documents of a file. Raises ``Misconfigured``."""
    try:
        documents = meshfile.load_all(data, where)
    except meshfile.Unreadable as unreadable:
        raise misconfigured(unreadable.args) from None
    found = [
        document
        for document in documents
        if isinstance(document.value, dict) and document.value.get("kind") == "WorkloadGroup"
    ]
    if len(found) != 1:
        why = f"holds {len(found)} WorkloadGroups"
        remedy = "give a file with one document of kind: WorkloadGroup"
        raise misconfigured([Problem(where=f"{where}:1", key="", value=None, why=why, remedy=remedy)])
    return _group(found[0], where)


def _group(document: meshfile.Document, where: str) -> Group:
    report = schema.Report()
    checked = _object(schema.check(document.value, WORKLOAD_GROUP, (), report))
    problems = [meshfile.problem(finding, document, where) for finding in (*report.wrong, *report.unknown)]
    about, spec = _object(checked.get("metadata")), _object(checked.get("spec"))
    inner, template = _object(spec.get("metadata")), _object(spec.get("template"))
    for key in ("name", "namespace"):
        problems += _name(about.get(key), key, document, where)
    if problems:
        raise misconfigured(problems)
    annotations = [_object(part.get("annotations")) for part in (about, inner)]
    return Group(
        name=str(about["name"]),
        namespace=str(about["namespace"]),
        labels=_texts(inner.get("labels")) | _texts(template.get("labels")),
        ports={name: port for name, port in _object(template.get("ports")).items() if isinstance(port, int)},
        service_account=str(template.get("serviceAccount") or "default"),
        network=str(template.get("network") or ""),
        probe=_object(spec["probe"]) if spec.get("probe") else None,
        overrides=tuple(str(found[_OVERRIDES]) for found in annotations if found.get(_OVERRIDES)),
    )


def _name(value: Json, key: str, document: meshfile.Document, where: str) -> list[Problem]:
    try:
        syntax.domain(value if isinstance(value, str) else "")
    except ValueError as remedy:
        line = document.lines.get(("metadata", key), document.lines.get(("metadata",), 1))
        why = "not set" if value in (None, "") else "not a Kubernetes name"
        shown = str(value) if value else None
        return [
            Problem(where=f"{where}:{line}", key=f"metadata.{key}", value=shown, why=why, remedy=str(remedy))
        ]
    return []


def _object(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _texts(value: Json) -> dict[str, str]:
    return {key: str(text) for key, text in _object(value).items()}


# --- the files --------------------------------------------------------------------------------------------


def proxy_config(who: Group, wishes: Wishes, mesh: meshfile.MeshFile) -> dict[str, Json]:
    """``defaultConfig`` for the VM: the mesh's own, the group's annotations, then what names the VM."""
    merged = dict(mesh.proxy_config)
    if wishes.revision not in ("", "default"):
        merged.setdefault("discoveryAddress", f"{wishes.istiod}:15012")
    for text in who.overrides:
        found = meshfile.parse(text.encode(), f"annotation {_OVERRIDES} of {who.name}", bare=True)
        if found.problems:
            raise misconfigured(found.problems)
        merged = overlay(merged, found.proxy_config)
    if who.probe is not None:
        merged["readinessProbe"] = dict(who.probe)
    return overlay(merged, {"proxyMetadata": dict(_metadata(who, wishes, mesh, merged))})


def _metadata(
    who: Group, wishes: Wishes, mesh: meshfile.MeshFile, merged: Mapping[str, Json]
) -> dict[str, str]:
    named = who.labels
    name = named.get(_NAME) or named.get("app.kubernetes.io/name") or named.get("app") or who.name
    revision = (
        named.get(_REVISION) or named.get("app.kubernetes.io/version") or named.get("version") or "latest"
    )
    found = {
        "CANONICAL_SERVICE": name,
        "CANONICAL_REVISION": revision,
        "POD_NAMESPACE": who.namespace,
        "SERVICE_ACCOUNT": who.service_account,
        "TRUST_DOMAIN": mesh.trust_domain or "cluster.local",
        "ISTIO_META_CLUSTER_ID": wishes.cluster_id,
        "ISTIO_META_MESH_ID": str(merged.get("meshId") or ""),
        "ISTIO_META_NETWORK": who.network,
        "ISTIO_META_WORKLOAD_NAME": who.name,
        "ISTIO_METAJSON_LABELS": _compact({**named, _NAME: name, _REVISION: revision}),
    }
    if who.ports:
        ports = [{"name": key, "containerPort": who.ports[key], "protocol": ""} for key in sorted(who.ports)]
        found["ISTIO_META_POD_PORTS"] = json.dumps(ports, separators=(",", ":"))
    if wishes.capture_dns:
        found["ISTIO_META_DNS_CAPTURE"] = "true"
    if wishes.autoregister:
        found["ISTIO_META_AUTO_REGISTER_GROUP"] = who.name
    return found


def _compact(value: Mapping[str, str]) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def mesh_yaml(proxy: Mapping[str, Json]) -> str:
    """A MeshConfig that holds only ``defaultConfig``, keys in order."""
    return meshfile.dump(_sorted({"defaultConfig": dict(proxy)}))


def _sorted(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def cluster_env(who: Group, wishes: Wishes, proxy: Mapping[str, Json]) -> str:
    """``KEY='value'`` lines in order of the keys."""
    status = proxy.get("statusPort") or 15020
    excluded = ["22", "15090", "15021", *([] if status in (15090, 15021) else [str(status)])]
    found = _variables(who, proxy) | {
        "ISTIO_INBOUND_PORTS": ",".join(str(port) for port in sorted(set(who.ports.values()))) or "*",
        "ISTIO_LOCAL_EXCLUDE_PORTS": ",".join(excluded),
        "ISTIO_NAMESPACE": who.namespace,
        "ISTIO_SERVICE": f"{who.name}.{who.namespace}",
        "ISTIO_SERVICE_CIDR": "*",
        "SERVICE_ACCOUNT": who.service_account,
    }
    if wishes.revision not in ("", "default"):
        found["CA_ADDR"] = f"{wishes.istiod}:15012"
    if wishes.internal_ip or wishes.external_ip:
        found["ISTIO_SVC_IP"] = wishes.internal_ip or wishes.external_ip
    if wishes.external_ip:
        found["REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION"] = "true"
    return "".join(f"{key}={quoted(found[key])}\n" for key in sorted(found))


def _variables(who: Group, proxy: Mapping[str, Json]) -> dict[str, str]:
    """Istio's start script sources them as root: a key that is no name would be a command. Raises
    ``Misconfigured``.
    """
    found = _texts(proxy.get("proxyMetadata"))
    problems = [
        Problem(
            where=f"proxyMetadata of the mesh or of annotation {_OVERRIDES} of {who.name}",
            key=repr(key),
            value=None,
            why=why,
            remedy=remedy,
        )
        for key, text in found.items()
        for why, remedy in _unfit(key, text)
    ]
    if problems:
        raise misconfigured(problems)
    return found


def _unfit(key: str, text: str) -> Iterator[tuple[str, str]]:
    if not _VARIABLE.fullmatch(key):
        yield "not the name of a variable", "write letters, digits and _, as in ISTIO_META_OWNER"
    if "\0" in text or "\r" in text:
        yield "its value has a NUL byte or a carriage return", "write it without"


def quoted(text: str) -> str:
    """For a shell, as istioctl writes it: always in single quotes."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


def hosts(wishes: Wishes) -> str:
    """For /etc/hosts; empty without an address."""
    return f"{wishes.ingress_ip} {wishes.istiod}\n" if wishes.ingress_ip else ""
