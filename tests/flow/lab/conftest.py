from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from envoy.config.listener.v3.listener_pb2 import Listener

from lab.controlplane import type_urls
from lab.controlplane.proxy import Proxy
from lab.controlplane.server import ControlPlane, on_any_port, running
from lab.controlplane.settings import Settings
from lab.controlplane.snapshot import Snapshot
from lab.controlplane.snapshot.packing import pack

STORY = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: nginx, namespace: istio-demo}
spec:
  metadata:
    labels: {app: nginx, class: none}
    annotations: {team: web}
  template: {serviceAccount: vm, labels: {app: template, tier: front}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: nginx, namespace: istio-demo}
spec:
  hosts: [nginx.jd.com]
  location: MESH_INTERNAL
  ports: [{name: http, number: 80, protocol: HTTP}]
  resolution: STATIC
  workloadSelector: {labels: {app: nginx}}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Fast, on any port, with the story's resources on disk."""
    resources = tmp_path / "resources"
    resources.mkdir()
    (resources / "story.yaml").write_text(STORY)
    given = Settings(
        resources=resources, state=tmp_path / "state", grace_period=0.3, debounce=0.03, poll=0.05
    )
    return on_any_port(given)


@pytest.fixture
async def control_plane(settings: Settings) -> AsyncIterator[ControlPlane]:
    async with running(settings) as started:
        yield started


@pytest.fixture
def without_real_sockets(control_plane: ControlPlane) -> None:
    """15001 and 15006 may be somebody else's here."""

    def build(proxy: Proxy) -> Snapshot:
        snapshot = control_plane.snapshot(proxy)
        listeners = dict(snapshot.of(type_urls.LISTENER))
        for name in ("virtualOutbound", "virtualInbound"):
            listener = Listener.FromString(listeners[name].value)
            listener.bind_to_port.value = False
            listeners[name] = pack(listener)
        return Snapshot.of_resources({**snapshot.resources, type_urls.LISTENER: listeners})

    control_plane.ads.build = build
