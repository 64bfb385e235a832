"""ServiceEntries that are refused."""

from typing import Any

from tests.unit.lab.refused import PORT, complaint


def service_entry(**spec: Any) -> str:
    return complaint("ServiceEntry", {"hosts": ["a.test"], "ports": [PORT], "resolution": "STATIC", **spec})


def endpoint(resolution: str = "STATIC", **written: Any) -> str:
    return service_entry(resolution=resolution, endpoints=[written])


TWO = [PORT, {**PORT, "name": "more"}]

SERVICE_ENTRIES = [
    (service_entry(hosts=[]), "spec.hosts is []: service entry must have at least one host"),
    (service_entry(hosts=["*"]), "spec.hosts[0] is '*': invalid host *: a full wildcard is not allowed"),
    (service_entry(hosts=["a_b.*"]), "spec.hosts[0] is 'a_b.*': "),
    (
        service_entry(hosts=["*.a.test"], resolution="DNS"),
        "spec.hosts[0] is '*.a.test': hosts must be FQDN if no",
    ),
    (service_entry(addresses=["10.1"]), "spec.addresses[0] is '10.1': write an IP address or a range"),
    (
        service_entry(addresses=["10.1.0.0/16"], resolution="DNS"),
        "spec.addresses[0] is '10.1.0.0/16': CIDR addresses are allowed only for NONE/STATIC",
    ),
    (
        service_entry(ports=[{**PORT, "number": 0}]),
        "spec.ports[0].number is 0: write a whole number from 1 to",
    ),
    (service_entry(ports=[{**PORT, "number": "80"}]), "spec.ports[0].number is '80': write a whole number"),
    (service_entry(ports=[{**PORT, "name": "A_b"}]), "spec.ports[0].name is 'A_b': write lower-case letters"),
    (
        service_entry(ports=[{**PORT, "protocol": "SMTP"}]),
        "spec.ports[0].protocol is 'SMTP': unsupported protocol",
    ),
    (service_entry(ports=TWO), "spec.ports[1].number is 80: service entry port already defined"),
    (
        service_entry(ports=[PORT, PORT]),
        "spec.ports[1].name is 'http': service entry port name already defined",
    ),
    (
        service_entry(resolution="DSN"),
        "spec.resolution is 'DSN': write one of NONE, STATIC, DNS, DNS_ROUND_ROBIN",
    ),
    (
        service_entry(location="OUTSIDE"),
        "spec.location is 'OUTSIDE': write one of MESH_EXTERNAL, MESH_INTERNAL",
    ),
    (
        service_entry(hosts=["a.test", "b.test"], ports=[{**PORT, "protocol": "TCP"}]),
        "spec.hosts is ['a.test', 'b.test']: multiple hosts provided with non-HTTP, non-TLS ports",
    ),
    (
        service_entry(workloadSelector={"labels": {"a": "b"}}, endpoints=[{"address": "10.1.0.1"}]),
        "spec.endpoints is [{'address': '10.1.0.1'}]: only one of WorkloadSelector or Endpoints is allowed",
    ),
    (
        service_entry(exportTo=["*", "."]),
        "spec.exportTo is ['*', '.']: exportTo must not hold other entries beside *",
    ),
    (service_entry(exportTo=["a", "a"]), "spec.exportTo[1] is 'a': duplicate entry in exportTo"),
    (
        endpoint("NONE", address="10.1.0.1"),
        "spec.endpoints is [{'address': '10.1.0.1'}]: no endpoints should be",
    ),
    (endpoint(address="a.test"), "spec.endpoints[0].address is 'a.test': write an IP address"),
    (
        endpoint("DNS", address="a_b"),
        "spec.endpoints[0].address is 'a_b': endpoint address is not a valid FQDN",
    ),
    (
        endpoint(address="10.1.0.1", ports={"x": 1}),
        "spec.endpoints[0].ports is {'x': 1}: endpoint port 1 is not defined",
    ),
    (
        endpoint(address="unix://a"),
        "spec.endpoints[0].address is 'unix://a': unix address must be an absolute path",
    ),
    (
        endpoint("DNS", address="unix:///a"),
        "spec.endpoints[0].address is 'unix:///a': unix addresses need resolution",
    ),
    (
        endpoint(address="unix:///a", ports={"http": 1}),
        "spec.endpoints[0].ports is {'http': 1}: unix endpoint must not",
    ),
    (
        service_entry(resolution="DNS_ROUND_ROBIN", endpoints=[{"address": "a.test"}, {"address": "b.test"}]),
        "spec.endpoints is [{'address': 'a.test'}, {'address': 'b.test'}]: there must only be 0 or",
    ),
]
