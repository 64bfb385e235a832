"""``entry configure``: gather what the files are made of, and make them.

Owns:      where mesh configuration, root certificate, token and cluster id come from (a file, else the API).
Does not:  write (cli/entry.py does, through runtime/files.py); lay out the files (workload.py).
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

from vmagent.config import meshfile, workload
from vmagent.config.kubeapi import KubeApi
from vmagent.config.load import LARGEST, damage
from vmagent.config.problem import misconfigured
from vmagent.config.workload import Group, Wishes
from vmagent.errors import Misconfigured

PRIVATE, PUBLIC = 0o600, 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The command line. A file given spares a question to the API."""

    group_file: Path
    wishes: Wishes
    token_seconds: int
    server: str
    mesh_file: Path | None = None
    root_file: Path | None = None
    token_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A file to write, and what is worth saying about it."""

    name: str
    data: bytes = field(repr=False)
    mode: int
    remark: str = ""


def configure(request: Request) -> tuple[Output, ...]:
    """Everything is fetched and checked before anything is returned: no half-written set of files."""
    group = workload.group(_read(request.group_file), str(request.group_file))
    api, wishes = KubeApi(server=request.server), request.wishes
    mesh = _mesh(request, api)
    wishes = _with_cluster(request, api)
    proxy = workload.proxy_config(group, wishes, mesh)
    root, token = _root(request, group, api), _token(request, group, api)
    remark = (
        f"for {group.namespace}/{group.service_account}; keep it secret, copy it to the VM and delete it here"
    )
    return (
        Output(name="mesh.yaml", data=workload.mesh_yaml(proxy).encode(), mode=PUBLIC),
        Output(name="cluster.env", data=workload.cluster_env(group, wishes, proxy).encode(), mode=PUBLIC),
        Output(name="root-cert.pem", data=root, mode=PUBLIC),
        Output(name="istio-token", data=token, mode=PRIVATE, remark=remark),
        Output(
            name="hosts",
            data=workload.hosts(wishes).encode(),
            mode=PUBLIC,
            remark="" if wishes.ingress_ip else f"empty: --ingressIP would name {wishes.istiod}",
        ),
    )


def _revisioned(name: str, wishes: Wishes) -> str:
    return name if wishes.revision in ("", "default") else f"{name}-{wishes.revision}"


def _mesh(request: Request, api: KubeApi) -> meshfile.MeshFile:
    namespace, name = request.wishes.istio_namespace, _revisioned("istio", request.wishes)
    if request.mesh_file is not None:
        found = meshfile.parse(_read(request.mesh_file), str(request.mesh_file))
    else:
        found = meshfile.parse(
            api.config_map(namespace, name, "mesh").encode(), f"configmap {namespace}/{name}"
        )
    if found.problems:
        raise misconfigured(found.problems)
    return found


def _with_cluster(request: Request, api: KubeApi) -> Wishes:
    """--clusterID, else the name that the sidecar injector gives to pods."""
    wishes = request.wishes
    if wishes.cluster_id:
        return wishes
    name = _revisioned("istio-sidecar-injector", wishes)
    text = api.config_map(wishes.istio_namespace, name, "values")
    try:
        values = json.loads(text)
        cluster = str(values["global"]["multiCluster"].get("clusterName") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Misconfigured(
            f"configmap {wishes.istio_namespace}/{name} names no cluster", hint="give --clusterID"
        ) from None
    return dataclasses.replace(wishes, cluster_id=cluster)


def _root(request: Request, group: Group, api: KubeApi) -> bytes:
    if request.root_file is not None:
        data, where = _read(request.root_file), request.root_file
    else:
        data = api.config_map(group.namespace, "istio-ca-root-cert", "root-cert.pem").encode()
        where = Path(f"configmap {group.namespace}/istio-ca-root-cert")
    if problems := damage(data, where):
        raise misconfigured(problems)
    return data


def _token(request: Request, group: Group, api: KubeApi) -> bytes:
    if request.token_file is None:
        return api.token(group.namespace, group.service_account, request.token_seconds).encode()
    data = _read(request.token_file).strip()
    if data.count(b".") != 2 or not data.replace(b".", b"").replace(b"-", b"").replace(b"_", b"").isalnum():
        raise Misconfigured(
            f"{request.token_file} holds no token", hint="kubectl create token --audience istio-ca"
        )
    return data


def _read(path: Path) -> bytes:
    """May be a pipe: ``--token <(kubectl create token ...)``."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise Misconfigured(
            f"{path}: {error.strerror}", hint="give the path of a file that can be read"
        ) from None
    if len(data) > LARGEST:
        raise Misconfigured(f"{path}: larger than {LARGEST} bytes", hint="give the path of the right file")
    return data
