"""istiod's port 15010: the one port without TLS. Only the sentence and the token's absence matter here."""

from dataclasses import replace

import grpc
import grpc.aio

from tests.flow.identity.certificate_server import CertificateServer
from tests.flow.identity.conftest import Machine
from vmagent.identity import ca_client
from vmagent.identity.endpoint import Endpoint
from vmagent.identity.token import Token


def client(machine: Machine, host: str) -> ca_client.CaClient:
    config = replace(machine.config, ca=Endpoint(host=host, port=15010))
    channel = grpc.aio.insecure_channel("127.0.0.1:1")
    return ca_client.CaClient(config, channel, None, certificate=False)


async def test_the_token_does_not_cross_a_network_in_clear(machine: Machine) -> None:
    metadata = dict(client(machine, "istiod.istio-system.svc")._metadata(Token(text="secret")))
    assert "authorization" not in metadata


async def test_the_token_may_go_to_a_port_of_this_machine(machine: Machine) -> None:
    metadata = dict(client(machine, "127.0.0.1")._metadata(Token(text="secret")))
    assert metadata["authorization"] == "Bearer secret"


async def test_without_tls_a_certificate_is_still_obtained_and_verified(
    ca: CertificateServer, machine: Machine
) -> None:
    await ca.stop()
    ca.tls = False
    await ca.start()
    config = replace(machine.config, ca=Endpoint(host="127.0.0.1", port=ca.port))
    async with ca_client.connect(config, None, None) as connection:
        assert connection is not None
