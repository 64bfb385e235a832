"""Small meshes written in a line each, and what a proxy is told of them, in words that a test can state."""

from typing import Any

import yaml
from google.protobuf import json_format

from lab.controlplane import type_urls
from lab.controlplane._pb import nds_pb2
from lab.controlplane.proxy import Proxy
from lab.controlplane.snapshot import Snapshot
from tests.unit.lab import story
from tests.unit.lab.recorded import Json

NETWORKING = "networking.istio.io/v1"


def resource(kind: str, name: str, spec: Any, *, version: str = NETWORKING, **metadata: Any) -> str:
    about = {"name": name, "namespace": "istio-demo", **metadata}
    return yaml.safe_dump({"apiVersion": version, "kind": kind, "metadata": about, "spec": spec})


def entry(host: str, *ports: str, resolution: str = "STATIC", name: str = "", **rest: Any) -> str:
    """A ServiceEntry; a port is written ``80/HTTP``, or ``80`` when nobody says what it speaks."""
    namespace = rest.pop("namespace", "istio-demo")
    created = {"creationTimestamp": rest.pop("created")} if "created" in rest else {}
    spec = {"hosts": [host], "ports": [*map(port, ports)], "resolution": resolution, **rest}
    return resource("ServiceEntry", name or host.strip("*."), spec, namespace=namespace, **created)


def port(written: str) -> dict[str, Any]:
    number, _, protocol = written.partition("/")
    made = {"number": int(number), "name": f"port-{number}"}
    return {**made, "protocol": protocol} if protocol else made


def virtual_service(host: str, *, name: str = "way", namespace: str = "istio-demo", **spec: Any) -> str:
    return resource("VirtualService", name, {"hosts": [host], **spec}, namespace=namespace)


def to(host: str, weight: int = 0, **destination: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"destination": {"host": host, **destination}}
    return {**made, "weight": weight} if weight else made


def rule(host: str, *, name: str = "rule", namespace: str = "istio-demo", **spec: Any) -> str:
    return resource("DestinationRule", name, {"host": host, **spec}, namespace=namespace)


def service(name: str, *ports: dict[str, Any], namespace: str = "istio-demo", **spec: Any) -> str:
    """Of Kubernetes."""
    return resource("Service", name, {"ports": list(ports), **spec}, version="v1", namespace=namespace)


def pod(name: str, address: str, *, labels: dict[str, str], **spec: Any) -> str:
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "istio-demo", "labels": labels},
        "spec": {"containers": [{"name": "app"}], **spec},
        "status": {"podIP": address, "conditions": [{"type": "Ready", "status": "True"}]},
    }
    return yaml.safe_dump(document)


def said(snapshot: Snapshot, type_url: str, name: str) -> Json:
    return json_format.MessageToDict(snapshot.of(type_url)[name], preserving_proto_field_name=True)


def listeners(snapshot: Snapshot) -> list[str]:
    """Those of services."""
    return [each for each in snapshot.of(type_urls.LISTENER) if not each.startswith("virtual")]


def listener(snapshot: Snapshot, name: str) -> list[str]:
    """Each chain in the order Envoy has them: what it takes, and where that goes."""
    found = said(snapshot, type_urls.LISTENER, name)
    chains = [*found["filter_chains"], *filter(None, [found.get("default_filter_chain")])]
    return [f"{_takes(each.get('filter_chain_match', {}))} -> {_goes(each['filters'])}" for each in chains]


def _takes(match: Json) -> str:
    said = [*match.get("server_names", ()), *match.get("application_protocols", ())]
    said += [f"{each['address_prefix']}/{each['prefix_len']}" for each in match.get("prefix_ranges", ())]
    return " ".join(said) or "all"


def _goes(filters: list[Json]) -> str:
    last = filters[-1]["typed_config"]
    if "rds" in last:
        return f"route {last['rds']['route_config_name']}"
    return str(last.get("cluster") or last.get("weighted_clusters"))


def inbound_chains(snapshot: Snapshot) -> list[Json]:
    found: list[Json] = said(snapshot, type_urls.LISTENER, "virtualInbound")["filter_chains"]
    return found


def hosts(snapshot: Snapshot, table: str) -> dict[str, list[str]]:
    """Domains by virtual host, without the one of everything else."""
    found = said(snapshot, type_urls.ROUTE, table)["virtual_hosts"]
    return {each["name"]: each["domains"] for each in found if each["name"] not in ("allow_any", "block_all")}


def routes(snapshot: Snapshot, table: str, name: str) -> list[Json]:
    found = said(snapshot, type_urls.ROUTE, table)["virtual_hosts"]
    return next(each["routes"] for each in found if each["name"] == name)


def cluster(snapshot: Snapshot, name: str) -> Json:
    return said(snapshot, type_urls.CLUSTER, name)


def endpoints(snapshot: Snapshot, cluster: str) -> list[str]:
    """``address:port``, of EDS or of the cluster itself."""
    if cluster in snapshot.of(type_urls.ENDPOINT):
        assignment = said(snapshot, type_urls.ENDPOINT, cluster)
    else:
        assignment = said(snapshot, type_urls.CLUSTER, cluster)["load_assignment"]
    return [
        _address(each["endpoint"]["address"])
        for group in assignment.get("endpoints", ())
        for each in group["lb_endpoints"]
    ]


def _address(address: Json) -> str:
    if "pipe" in address:
        return str(address["pipe"]["path"])
    return f"{address['socket_address']['address']}:{address['socket_address']['port_value']}"


def names(snapshot: Snapshot) -> dict[str, list[str]]:
    table = nds_pb2.NameTable.FromString(snapshot.of(type_urls.NAME_TABLE)[""].value)
    return {host: list(info.ips) for host, info in table.table.items()}


def client(**metadata: Any) -> Proxy:
    return Proxy.parse(story.node(ip="192.168.0.30", name="client", **metadata))
