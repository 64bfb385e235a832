"""A control plane's real API behind the words of ``lab``, without a socket between."""

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from lab.controlplane.api import Api
from lab.controlplane.builtins import Builtins
from lab.controlplane.fault_api import FaultApi
from lab.controlplane.faults import Faults
from lab.controlplane.http import HttpRequest
from lab.controlplane.mesh import Allocation
from lab.controlplane.records import Records
from lab.controlplane.resource_files import ResourceFiles
from lab.controlplane.store import Store
from lab.controlplane.timestamps import SECOND
from lab.controlplane.tokens import TokenIssuer
from lab.hosts.cluster import Cluster
from lab.hosts.loopback import Answer

NOW = int(datetime.datetime.now(datetime.UTC).timestamp())
BORN = NOW - (5 * 24 + 3) * 3600 - 1200


@pytest.fixture(autouse=True)
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Api:
    """What the words of ``lab`` reach. Everything was applied five days and some three hours ago."""
    resources = tmp_path / "resources"
    resources.mkdir()
    made = Api(
        store=Store(ResourceFiles(resources), Records(tmp_path), lambda: BORN * SECOND),
        builtins=Builtins(root_pem="", trust_domain="cluster.local", cluster_id="Kubernetes"),
        allocation=Allocation.NEXT_FREE,
        issuer=TokenIssuer(ec.generate_private_key(ec.SECP256R1()), "issuer"),
        audience="istio-ca",
        syncz=list,
        faults=FaultApi(faults=Faults(), drop_connections=lambda: None),
        now=lambda: NOW * SECOND,
    )

    def send(_: Cluster, method: str, path: str, body: Mapping[str, Any] | None) -> Answer:
        content = b"" if body is None else json.dumps(body).encode()
        where = tuple(filter(None, path.split("/")))
        answer = made.handle(HttpRequest(method=method, path=where, body=content))
        text = json.dumps(answer.body, default=str)
        return Answer(status=answer.status, text=text, warnings=answer.warnings)

    monkeypatch.setattr(Cluster, "_send", send)
    return made
