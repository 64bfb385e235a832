"""``vmagent proxy router`` on a host of its own: a real istiod's egress gateway on port 80, and nothing
captured.
"""

from collections.abc import Iterator
from typing import Final

import pytest

from lab.demo.names import CURL, OUTSIDE_ANSWER
from lab.hosts import services
from lab.hosts.host import Host
from lab.hosts.lab import Lab
from lab.hosts.services import AGENT_LOG
from tests.netns.recorded.machine import AGENT_ENV, FIRST_FREE_PORT, RECORDED, Machine

GATEWAY: Final = RECORDED / "10b-egress-gateway-visible" / "egressgateway"

pytestmark = pytest.mark.skipif(not GATEWAY.exists(), reason="../shared/recordings is not present")


@pytest.fixture(scope="module")
def prepared() -> Iterator[Machine]:
    lab = Lab("router")
    lab.down()
    lab.up()
    try:
        machine = Machine(lab)
        services.start_application(lab.host("outside"))
        machine.host.append("/etc/hosts", "192.168.0.70 httpbin.com\n")
        machine.prepare(
            GATEWAY, name="istio-egressgateway", namespace="istio-system", label="istio: egressgateway"
        )
        yield machine
    finally:
        lab.down()


@pytest.fixture
def gateway(prepared: Machine) -> Iterator[Machine]:
    yield prepared
    prepared.stop()


def asked(client: Host, name: str = "httpbin.com") -> str:
    command = f"{CURL} -H 'Host: {name}' -w ' %{{http_code}}' http://192.168.0.204/"
    return client.run(["bash", "-c", command], check=False).stdout


def serves(gateway: Machine) -> None:
    """A client's request goes through the gateway; its own traffic goes where it always went."""
    gateway.until("ready", lambda: ", router): ready" in gateway.status)
    client = gateway.lab.host("client")
    gateway.until("an answer", lambda: asked(client) == f"{OUTSIDE_ANSWER}\n 200")
    assert asked(client, "somewhere.else") == " 404"
    gateway.until("capture has decided", lambda: gateway.gate("capture") == "open")
    assert not gateway.captured
    direct = gateway.host.run(["bash", "-c", f"{CURL} http://192.168.0.70/"]).stdout
    assert direct.strip() == OUTSIDE_ANSWER
    assert "none: a router has ports of its own, to which its clients connect" in gateway.status
    owner = gateway.host.run(["bash", "-c", "ps -o user:20= -C envoy"]).stdout.split()
    assert owner == ["istio-proxy"]


def test_a_router_that_may_not_listen_on_port_80_says_how_it_may(gateway: Machine) -> None:
    gateway.start("router")
    gateway.until("told", lambda: "it may not listen on ports below 1024" in gateway.gate("envoy"))
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in gateway.gate("envoy")
    assert "cannot bind '0.0.0.0:80': Permission denied" in gateway.host.read(AGENT_LOG)
    assert not gateway.captured


def test_the_word_on_the_command_line_makes_a_gateway_with_the_port_that_a_sysctl_opens(
    gateway: Machine,
) -> None:
    gateway.host.run(["sh", "-c", f"echo 80 > {FIRST_FREE_PORT}"])
    gateway.start("router")
    serves(gateway)


def test_the_setting_makes_a_gateway_with_the_port_that_a_capability_opens(gateway: Machine) -> None:
    gateway.host.write(AGENT_ENV, "VMAGENT_ROLE=router\n")
    gateway.start(capability=True)
    serves(gateway)
    note = gateway.host.run(["vmagent", "config", "check"], check=False).stdout
    assert "a router's own traffic is not captured: no effect of ISTIO_INBOUND_PORTS" in note
    plan = gateway.host.run(["vmagent", "capture", "plan"]).stdout
    assert plan == "# this is a router: it has ports of its own, no traffic is redirected to it\n"


def test_a_sidecar_that_becomes_a_router_gives_its_rules_back(gateway: Machine) -> None:
    gateway.host.run(["sh", "-c", f"echo 80 > {FIRST_FREE_PORT}"])
    gateway.start()
    gateway.until("captured", lambda: gateway.captured)
    assert gateway.running[0].stop() == 0
    gateway.start("router")
    serves(gateway)
