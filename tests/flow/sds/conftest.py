"""An SDS server on a socket, with what it serves in the test's hands."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
import pytest

from tests.authority import Authority
from vmagent.identity.certwatch import CertWatch
from vmagent.identity.credential import Credential
from vmagent.identity.spiffe import SpiffeId
from vmagent.runtime.clock import SystemClock
from vmagent.runtime.latest import Latest
from vmagent.runtime.lifecycle import Tasks
from vmagent.sds.files import FileSecrets
from vmagent.sds.server import SdsServer

HELD = Credential(
    spiffe=SpiffeId(trust_domain="cluster.local", namespace="istio-demo", service_account="vm"),
    key_pem=b"key",
    chain_pem=b"chain",
    root_pem=b"root",
    not_before=0.0,
    not_after=1.0,
)


@dataclass
class Served:
    channel: grpc.aio.Channel
    secrets: FileSecrets


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def credentials() -> Latest[Credential]:
    return Latest()


@pytest.fixture
async def served(credentials: Latest[Credential], tmp_path: Path) -> AsyncIterator[Served]:
    server = grpc.aio.server()
    clock = SystemClock()
    watch = CertWatch(clock=clock)
    secrets = FileSecrets(watch, base=tmp_path)
    server.add_generic_rpc_handlers((SdsServer(credentials, secrets, clock=clock).handler(),))
    server.add_insecure_port(f"unix:{tmp_path}/socket")
    await server.start()
    async with Tasks() as tasks:
        watching = tasks.start("files", watch.run())
        async with grpc.aio.insecure_channel(f"unix:{tmp_path}/socket") as channel:
            yield Served(channel, secrets)
        await server.stop(None)
        watching.cancel()


@pytest.fixture
def channel(served: Served) -> grpc.aio.Channel:
    return served.channel
