"""VirtualServices that are refused."""

from typing import Any

from tests.unit.lab.refused import TO, complaint


def virtual_service(**spec: Any) -> str:
    return complaint("VirtualService", {"hosts": ["a.test"], **spec})


def route(**http: Any) -> str:
    return virtual_service(http=[http])


VIRTUAL_SERVICES = [
    (
        virtual_service(hosts=[], http=[{"route": [TO]}]),
        "spec.hosts is []: virtual service must have at least one host",
    ),
    (
        virtual_service(),
        "spec is {'hosts': ['a.test']}: http, tcp or tls must be provided in virtual service",
    ),
    (
        virtual_service(hosts=["*"], http=[{"route": [TO]}]),
        "spec.hosts[0] is '*': wildcard host * is not allowed",
    ),
    (
        virtual_service(hosts=["*.test", "a.test"], http=[{"route": [TO]}]),
        "spec.hosts is ['*.test', 'a.test']: duplicate hosts in virtual service: *.test and a.test overlap",
    ),
    (
        virtual_service(gateways=["a/"], http=[{"route": [TO]}]),
        "spec.gateways[0] is 'a/': config namespace and gateway",
    ),
    (route(), "spec.http[0].route is nothing: HTTP route, redirect or direct_response is required"),
    (route(route=[{}]), "spec.http[0].route[0].destination is nothing: destination is required"),
    (
        route(route=[{"destination": {"host": "*"}}]),
        "spec.http[0].route[0].destination.host is '*': invalid destination",
    ),
    (
        route(route=[{**TO, "weight": -1}]),
        "spec.http[0].route[0].weight is -1: write a whole number from 0 to",
    ),
    (
        route(route=[{**TO, "weight": 0}, {**TO, "weight": 0}]),
        "spec.http[0].route is [{'destination': {'host': 'a.test'}, 'weight': 0}, ",
    ),
    (
        route(route=[TO], redirect={"uri": "/x"}),
        "spec.http[0].route is [{'destination': {'host': 'a.test'}}]: HTTP route cannot contain both",
    ),
    (
        route(route=[TO], rewrite={"authority": "b.test"}, headers={"request": {"set": {"Host": "c.test"}}}),
        "spec.http[0] is {'headers': {'request': {'set': {'Host': 'c.test'}}}, 'rewrite': {'authority': ",
    ),
    (
        route(redirect={}),
        "spec.http[0].redirect is {}: redirect must specify URI, authority, scheme, or port",
    ),
    (
        route(redirect={"uri": "/x", "redirectCode": 404}),
        "spec.http[0].redirect.redirectCode is 404: is not a valid",
    ),
    (route(rewrite={}, route=[TO]), "spec.http[0].rewrite is {}: rewrite must specify at least one of URI"),
    (route(timeout="3", route=[TO]), "spec.http[0].timeout is '3': write a duration like 5s"),
    (route(timeout="0.5ms", route=[TO]), "spec.http[0].timeout is '0.5ms': must be at least 1ms"),
    (
        route(retries={"retryOn": "boredom"}, route=[TO]),
        "spec.http[0].retries.retryOn is 'boredom': 'boredom' is not a",
    ),
    (
        route(fault={}, route=[TO]),
        "spec.http[0].fault is {}: HTTP fault injection must have an abort and/or a delay",
    ),
    (
        route(fault={"abort": {"httpStatus": 700}}, route=[TO]),
        "spec.http[0].fault.abort.httpStatus is 700: write a whole number from 200 to 600",
    ),
    (
        route(match=[{"uri": {"exact": "/a", "prefix": "/b"}}], route=[TO]),
        "spec.http[0].match[0].uri is {'exact': '/a', 'prefix': '/b'}: write one of exact, prefix, regex",
    ),
    (route(match=[{"uri": {"regex": "("}}], route=[TO]), "spec.http[0].match[0].uri.regex is '(': "),
    (route(match=[{"port": 70000}], route=[TO]), "spec.http[0].match[0].port is 70000: write a whole number"),
    (
        virtual_service(tls=[{"route": [TO]}]),
        "spec.tls[0].match is nothing: TLS route must have at least one match",
    ),
    (
        virtual_service(tls=[{"match": [{"port": 443}], "route": [TO]}]),
        "spec.tls[0].match[0].sniHosts is nothing: TLS match must have at least one SNI host",
    ),
    (
        virtual_service(tls=[{"match": [{"sniHosts": ["b.test"]}], "route": [TO]}]),
        "spec.tls[0].match[0].sniHosts[0] is 'b.test': SNI host is not a compatible subset",
    ),
    (virtual_service(tcp=[{"match": [{"port": 1}]}]), "spec.tcp[0].route is nothing: TCP route is required"),
    (
        virtual_service(tcp=[{"match": [{"destinationSubnets": ["10.1"]}], "route": [TO]}]),
        "spec.tcp[0].match[0].destinationSubnets[0] is '10.1': write an IP address or a range",
    ),
]
