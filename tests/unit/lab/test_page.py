"""The control plane's page: what stands in it, what is cut, and that nobody's text becomes markup."""

from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import count

import pytest

from lab.controlplane import type_urls
from lab.controlplane.authentication import Caller
from lab.controlplane.connection import Connection, Sent
from lab.controlplane.http import HttpRequest, encode
from lab.controlplane.kinds.service_entry import ServiceEntry
from lab.controlplane.mesh import Mesh
from lab.controlplane.page import Page
from lab.controlplane.page.html import document, element
from lab.controlplane.page.page import PER_PAGE
from lab.controlplane.page.style import HEADERS, STYLE
from lab.controlplane.page.tables import LONGEST
from lab.controlplane.registry import World
from lab.controlplane.resources import parse
from lab.controlplane.session import Request
from lab.controlplane.spiffe import SpiffeId
from lab.controlplane.wire import SOTW
from tests.unit.lab.served import client, entry, pod, resource, service

SCRIPT = "<script>alert(1)</script>"
UNCLOSED = frozenset({"input", "meta"})


class Reader(HTMLParser):
    """Text of each table row, by the id of its section; every tag there is."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: dict[str, list[str]] = {}
        self.tags: set[str] = set()
        self.links: list[str] = []
        self._section = ""
        self.open: list[str] = []
        self.feed(text)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.open += [] if tag in UNCLOSED else [tag]
        said = dict(attrs)
        assert not any(name.startswith("on") or name == "style" for name in said)
        if tag == "section":
            self._section = said["id"] or ""
        if tag == "a":
            self.links.append(said["href"] or "")
        if tag == "tr":
            self.rows.setdefault(self._section, []).append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._section and "tr" in self.open:
            self.rows[self._section][-1] += f"{data.strip()} "


def world(*texts: str) -> World:
    return World.of(parse("---\n".join(texts), file="mesh.yaml").resources)


def shown(of: World, connections: Sequence[Connection] = (), **query: str) -> Reader:
    page = Page(lambda: of, lambda _: Mesh(), lambda: connections)
    answer = page.handle(HttpRequest(method="GET", path=(), query=query))
    assert answer.content_type.startswith("text/html")
    return Reader(str(answer.body))


def connected(name: str = "vm204.istio-demo") -> Connection:
    """Asked for clusters and accepted them, asked for listeners and refused them, asked for routes."""
    session = SOTW.session(f"nonce-{number}" for number in count(1))
    for type_url in (type_urls.CLUSTER, type_urls.LISTENER, type_urls.ROUTE):
        session.on(Request(type_url=type_url))
        watch = session.watches[type_url]
        watch.offer(f"nonce-of-{type_url[-8:]}", "version-7")
    session.watches[type_urls.CLUSTER].answer("nonce-of-.Cluster", None)
    session.watches[type_urls.LISTENER].answer(session.watches[type_urls.LISTENER].nonce, f"no such {SCRIPT}")
    sent = Sent(version="version-7", nonce="", at=0, resources=1, removed=0, size=1)
    return Connection(
        id=f"{name}-1",
        variant=SOTW,
        proxy=replace(client(), name=name),
        caller=Caller(identity=SpiffeId.parse("spiffe://cluster.local/ns/istio-demo/sa/vm"), by="token",
                      address="192.168.0.204:5000"),
        since=0,
        entry=None,
        session=session,
        sent=dict.fromkeys((type_urls.CLUSTER, type_urls.LISTENER, type_urls.ROUTE), sent),
    )  # fmt: skip


def test_services_stand_with_address_ports_and_endpoints() -> None:
    rows = shown(
        world(
            entry("nginx.jd.com", "80/HTTP", workloadSelector={"labels": {"app": "nginx"}}),
            resource("WorkloadEntry", "vm", {"address": "192.168.0.204", "labels": {"app": "nginx"}}),
            pod("docker", "192.168.0.20", labels={"app": "nginx"}).replace("'True'", "'False'"),
            service("web", {"port": 80, "name": "http"}, clusterIP="10.96.0.9"),
            entry("www.baidu.com", "443/TLS", resolution="DNS"),
        )
    ).rows["services"]
    nginx = next(row for row in rows if row.startswith("nginx.jd.com"))
    assert "240.240.0.1" in nginx
    assert "80 HTTP port-80" in nginx
    assert "192.168.0.204:80" in nginx
    assert "192.168.0.20:80" in nginx
    assert "not serving" in nginx
    assert any("10.96.0.9" in row and row.startswith("web.istio-demo.svc.cluster.local") for row in rows)
    assert any(row.startswith("www.baidu.com") for row in rows)


def test_workloads_stand_with_their_health_and_its_reason() -> None:
    annotations = {
        "istio.io/autoRegistrationGroup": "nginx",
        "istio.io/connectedAt": "2026-11-21T03:47:00Z",
        "proxy.istio.io/health-checks-enabled": "true",
    }
    sick = resource("WorkloadEntry", "sick", {"address": "192.168.0.204"}, annotations=annotations)
    sick += "status: {conditions: [{type: Healthy, status: 'False', message: connection refused}]}\n"
    silent = resource("WorkloadEntry", "silent", {"address": "192.168.0.205"}, annotations=annotations)
    plain = resource("WorkloadEntry", "plain", {"address": "192.168.0.206"})
    rows = shown(world(sick, silent, plain)).rows["workloads"]
    by_name = {name: next(row for row in rows if f"/{name} " in row) for name in ("sick", "silent", "plain")}
    assert "unhealthy connection refused" in by_name["sick"]
    assert "by group nginx connected 2026-11-21T03:47:00Z" in by_name["sick"]
    assert "not reported" in by_name["silent"]
    assert "not checked written down" in by_name["plain"]


def test_a_host_is_an_address_with_all_that_is_there() -> None:
    of = world(
        entry("nginx.jd.com", "80/HTTP", endpoints=[{"address": "192.168.0.70"}]),
        resource("WorkloadEntry", "client", {"address": "192.168.0.30"}),
    )
    rows = shown(of, [connected("client.istio-demo")]).rows["hosts"]
    assert [" ".join(row.split()) for row in rows[1:]] == [
        "192.168.0.30 client.istio-demo WorkloadEntry istio-demo/client",
        "192.168.0.70 istio-demo/nginx.jd.com",
    ]


def test_a_proxy_stands_with_what_it_accepted_and_refused_type_by_type() -> None:
    cds, lds, rds = shown(World(), [connected()]).rows["proxies"][1:]
    assert "vm204.istio-demo" in cds
    assert "spiffe://cluster.local/ns/istio-demo/sa/vm" in cds
    assert cds.split()[-4:] == ["CDS", "SYNCED", "version-7", "nonce-of-.Cluster"]
    assert " ".join(lds.split()) == f"LDS ERROR version-7: no such {SCRIPT}"
    assert rds.split()[:2] == ["RDS", "STALE"]


def test_text_of_others_is_text() -> None:
    name = f"{SCRIPT}\"'&.istio-demo"
    of = world(resource("WorkloadEntry", "vm", {"address": "192.168.0.1", "serviceAccount": SCRIPT}))
    reader = shown(of, [connected(name)], q="<")
    assert "script" not in reader.tags
    assert any(name in row for row in reader.rows["proxies"])
    assert any(SCRIPT in row for row in reader.rows["workloads"])
    assert SCRIPT not in document("t", STYLE, SCRIPT, element("a", SCRIPT, href=f'"{SCRIPT}'))
    quoted = shown(World(), q='"><b>').open
    assert not quoted


def many(number: int) -> World:
    (one,) = parse(entry("a.example", "80/HTTP", resolution="DNS"), file="a").resources
    assert isinstance(one, ServiceEntry)
    return World.of(
        replace(one, hosts=(f"s{each}.example",), metadata=replace(one.metadata, name=f"s{each}"))
        for each in range(number)
    )


def test_a_large_mesh_is_a_page_at_a_time() -> None:
    of = many(10_000)
    page = Page(lambda: of, lambda _: Mesh(), tuple)
    text = str(page.handle(HttpRequest(method="GET", path=())).body)
    assert len(text) < 200_000
    reader = Reader(text)
    assert len(reader.rows["services"]) == 1 + PER_PAGE
    assert "?services=2#services" in reader.links
    last = shown(of, services="200")
    assert len(last.rows["services"]) == 1 + PER_PAGE
    assert last.rows["services"][1] != reader.rows["services"][1]
    assert "?services=201#services" not in last.links


@pytest.mark.parametrize("page", ["0", "-1", "7", "99999999999999999999", "x", ""])
def test_a_page_that_is_none_is_the_nearest_that_is_one(page: str) -> None:
    assert len(shown(many(60), services=page).rows["services"]) in (1 + PER_PAGE, 1 + 10)


def test_a_search_keeps_what_has_the_text_in_it_and_pages_of_it_keep_the_search() -> None:
    rows = shown(many(200), q="S19").rows["services"]
    assert {row.split()[0] for row in rows[1:]} == {"s19.example"} | {
        f"s19{each}.example" for each in range(10)
    }
    assert "?q=example&services=2#services" in shown(many(200), q=" example ").links


def test_the_longest_reason_is_cut() -> None:
    connection = connected()
    connection.session.watches[type_urls.LISTENER].reason = "x" * 10_000
    assert len(shown(World(), [connection]).rows["proxies"][2]) < LONGEST + 100


def test_the_page_may_use_its_own_style_and_nothing_else() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    page = Page(World, lambda _: Mesh(), tuple)
    head = encode(page.handle(HttpRequest(method="GET", path=()))).partition(b"\r\n\r\n")[0].decode()
    assert f"Content-Security-Policy: {policy}" in head.split("\r\n")
