"""A gateway's configuration: what is said where, and what means nothing there."""

import pytest

from . import vm


def test_a_machine_is_a_sidecar_unless_somebody_says_otherwise() -> None:
    assert vm.config().role == "sidecar"
    assert vm.config().node.id.startswith("sidecar~192.168.0.204~vm204.istio-demo~")


@pytest.mark.parametrize("said", [{"own": "VMAGENT_ROLE=router\n"}, {"role": "router"}])
def test_a_router_calls_itself_one(said: vm.Given) -> None:
    config = vm.config(**said)
    assert config.role == "router"
    assert config.node.id == "router~192.168.0.204~vm204.istio-demo~istio-demo.svc.cluster.local"
    assert config.capture.role == "router"


def test_the_command_line_has_the_last_word() -> None:
    config = vm.config(own="VMAGENT_ROLE=router\n", role="sidecar")
    assert config.role == "sidecar"
    assert [str(value.origin) for value in config.origins["VMAGENT_ROLE"]] == [
        "the command line",
        "/etc/istio-agent/agent.env:1",
        "default",
    ]


def test_a_role_that_is_none_is_told_with_those_there_are() -> None:
    (told,) = vm.complaints(own="VMAGENT_ROLE=gateway\n")
    assert "write one of sidecar, router" in told


def test_a_router_answers_names_only_on_request() -> None:
    assert not vm.config(role="router").dns.enabled
    assert vm.config(role="router", more="ISTIO_META_ENABLE_DNS_SERVER=true\n").dns.enabled
    assert vm.config(role="router").node.metadata["DNS_CAPTURE"] == "true"


def test_a_routers_application_is_not_scraped_for_it_has_none() -> None:
    more = """ISTIO_PROMETHEUS_ANNOTATIONS='{"scrape":"true","port":"8080"}'\n"""
    assert vm.config(more=more).status.scrape
    assert vm.config(more=more, role="router").status.scrape == ()


def test_what_only_a_sidecar_heeds_is_one_note() -> None:
    assert vm.resolved(role="router").notes == (
        "the command line: a router's own traffic is not captured: no effect of ISTIO_INBOUND_PORTS, "
        "ISTIO_LOCAL_EXCLUDE_PORTS, ISTIO_SERVICE_CIDR, ISTIO_META_DNS_CAPTURE",
    )
    bare = "SERVICE_ACCOUNT=gateway\nISTIO_NAMESPACE=istio-system\n"
    assert vm.resolved(role="router", cluster=bare, mesh=None).notes == ()


@pytest.mark.parametrize(
    ("key", "value"), [("INTERCEPTION_MODE", "NONE"), ("UNPRIVILEGED_POD", "true"), ("NETWORK", "n2")]
)
def test_what_a_gateway_tells_istiod_of_itself_is_carried(key: str, value: str) -> None:
    config = vm.config(role="router", more=f"ISTIO_META_{key}='{value}'\n")
    assert config.node.metadata[key] == value
