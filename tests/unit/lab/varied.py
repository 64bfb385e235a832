"""One mesh with everything in it that no story has: for whoever asks whether Envoy would take it."""

from lab.controlplane.proxy import Proxy
from tests.unit.lab import story
from tests.unit.lab.served import entry, pod, resource, rule, service, to, virtual_service

CERTIFICATE = {"serverCertificate": "/etc/cert.pem", "privateKey": "/etc/key.pem"}
CLIENT_FILES = {"clientCertificate": "/c.pem", "privateKey": "/k.pem", "caCertificates": "/ca.pem"}
SECRETS = {
    "file-cert:/etc/cert.pem~/etc/key.pem": "pair",
    "file-cert:/c.pem~/k.pem": "pair",
    "file-root:/ca.pem": "root",
    "file-root:system": "root",
}
"""What the documents name, and of which kind it is."""

_PROTOCOLS = (
    "80/HTTP",
    "81/GRPC",
    "82/HTTP2",
    "83/GRPC-WEB",
    "443/TLS",
    "444/HTTPS",
    "9000/TCP",
    "27017/MONGO",
)
_MORE = ("3306/MYSQL", "6379/REDIS", "7000")

_SERVICES = (
    entry(
        "a.test", *_PROTOCOLS, *_MORE, addresses=["10.1.1.1", "10.1.1.2"], endpoints=[{"address": "10.1.0.1"}]
    ),
    entry("b.test", *_PROTOCOLS, *_MORE, resolution="DNS", endpoints=[{"address": "localhost"}]),
    entry("c.test", *_PROTOCOLS, *_MORE, resolution="NONE", addresses=["10.2.0.0/16"], namespace="elsewhere"),
    entry("*.d.test", "80/HTTP", "443/TLS", "7000", resolution="NONE"),
    entry("e.test", "80/HTTP", resolution="DNS_ROUND_ROBIN"),
    entry("f.test", "80/HTTP", name="f", endpoints=[{"address": "unix:///run/f.sock"}]),
    entry("a.test", "90/HTTP", name="again", endpoints=[{"address": "10.1.0.2"}]),
    service(
        "web",
        {"name": "http", "port": 80},
        {"name": "x", "port": 9000},
        clusterIP="10.96.0.1",
        selector={"app": "w"},
    ),
    service("db", {"name": "tcp", "port": 5432}, clusterIP="None", selector={"app": "db"}),
    pod("web-1", "10.3.0.1", labels={"app": "w"}),
    pod("db-1", "10.3.0.2", labels={"app": "db"}, hostname="db-1", subdomain="db"),
)

_WAYS = (
    virtual_service(
        "a.test",
        http=[
            {
                "match": [
                    {"headers": {"x-who": {"regex": "m.*"}}, "uri": {"prefix": "/x"}},
                    {"queryParams": {"q": {"exact": "1"}}},
                ],
                "route": [to("a.test", 50, subset="v1"), to("b.test", 30), to("web", 20)],
                "timeout": "3s",
                "retries": {"attempts": 3, "perTryTimeout": "1s", "retryOn": "5xx,503"},
                "rewrite": {"uri": "/y", "authority": "b.test"},
                "mirror": {"host": "b.test"},
                "mirrorPercentage": {"value": 12.5},
                "fault": {"delay": {"fixedDelay": "1s", "percentage": {"value": 1}}},
                "corsPolicy": {"allowOrigins": [{"exact": "https://a.test"}], "maxAge": "1h"},
                "headers": {"request": {"set": {"x-a": "1"}}, "response": {"remove": ["x-b"]}},
            },
            {"match": [{"uri": {"exact": "/old"}}], "redirect": {"uri": "/new", "redirectCode": 302}},
            {
                "match": [{"uri": {"exact": "/no"}}],
                "directResponse": {"status": 403, "body": {"string": "no"}},
            },
            {"route": [to("a.test")]},
        ],
    ),
    virtual_service(
        "*.d.test",
        name="names",
        tls=[
            {
                "match": [{"sniHosts": ["x.d.test"], "port": 443}],
                "route": [to("a.test", 90), to("b.test", 10)],
            }
        ],
    ),
    rule(
        "a.test",
        trafficPolicy={
            "loadBalancer": {"consistentHash": {"httpCookie": {"name": "u", "ttl": "1h"}}},
            "connectionPool": {
                "tcp": {"maxConnections": 9, "connectTimeout": "2s"},
                "http": {"http2MaxRequests": 9},
            },
            "outlierDetection": {"consecutive5xxErrors": 3, "interval": "5s"},
            "portLevelSettings": [{"port": {"number": 444}, "tls": {"mode": "SIMPLE", "sni": "a.test"}}],
        },
        subsets=[{"name": "v1", "labels": {"version": "v1"}}],
    ),
    rule("b.test", name="mutual", trafficPolicy={"tls": {"mode": "MUTUAL", **CLIENT_FILES}}),
    resource(
        "PeerAuthentication",
        "default",
        {"mtls": {"mode": "STRICT"}},
        version="security.istio.io/v1",
    ),
    resource(
        "PeerAuthentication",
        "vm",
        {
            "selector": {"matchLabels": {"app": "nginx"}},
            "mtls": {"mode": "PERMISSIVE"},
            "portLevelMtls": {9000: {"mode": "DISABLE"}, 7777: {"mode": "STRICT"}},
        },
        version="security.istio.io/v1",
    ),
)

_GATEWAY = resource(
    "Gateway",
    "front",
    {
        "selector": {"istio": "front"},
        "servers": [
            {"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": ["*.test"]},
            {
                "port": {"number": 8443, "name": "https", "protocol": "HTTPS"},
                "hosts": ["a.test"],
                "tls": {"mode": "SIMPLE", **CERTIFICATE},
            },
            {
                "port": {"number": 8443, "name": "tls", "protocol": "TLS"},
                "hosts": ["x.d.test"],
                "tls": {"mode": "PASSTHROUGH"},
            },
            {"port": {"number": 9001, "name": "tcp", "protocol": "TCP"}, "hosts": ["*"]},
        ],
    },
)
_BOUND = (
    virtual_service(
        "a.test", name="front", gateways=["front"], http=[{"route": [to("a.test", port={"number": 80})]}]
    ),
    virtual_service(
        "*",
        name="connections",
        gateways=["front"],
        tls=[{"match": [{"sniHosts": ["x.d.test"]}], "route": [to("b.test", port={"number": 443})]}],
        tcp=[{"match": [{"port": 9001}], "route": [to("b.test", port={"number": 9000})]}],
    ),
)

DOCUMENTS = (story.SERVICE, story.REGISTERED, *_SERVICES, *_WAYS, _GATEWAY, *_BOUND)


def router() -> Proxy:
    node = story.node(ip="192.168.0.80", name="front")
    node.id = node.id.replace("sidecar~", "router~")
    node.metadata.update({"LABELS": {"istio": "front"}})
    return Proxy.parse(node)
