"""What the documents speak of beside their stories, and what the stories' resources can say besides: on the
hosts of story 02, client and VM in the mesh.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.hosts.errors import LabError
from lab.scenes.joining import DESK, configure
from lab.scenes.looking import look
from lab.scenes.raising import Site
from lab.scenes.scene import STORY, Joining, Look, Part, Server, find

VM, DOCKER, OUTSIDE = (f"Welcome to nginx on {host}!" for host in ("vm204", "docker", "outside"))
NAME = "shop.jd.com"
MTLS = 8443
"""Port of the site that wants to be shown a certificate."""

NGINX = (STORY / "serviceentry.yaml").read_text()

ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop, namespace: istio-demo}
spec:
  hosts: [shop.jd.com]
  location: MESH_INTERNAL
  ports: [{name: http, number: 80, protocol: HTTP}]
  resolution: STATIC
  endpoints:
  - {address: 192.168.0.20, labels: {class: docker}}
  - {address: 192.168.0.70, labels: {class: outside}}
"""

SUBSETS = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop, namespace: istio-demo}
spec:
  host: shop.jd.com
  subsets:
  - {name: docker, labels: {class: docker}}
  - {name: outside, labels: {class: outside}}
"""


def routes(http: str) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop, namespace: istio-demo}}
spec:
  hosts: [shop.jd.com]
  http: {http}
"""


def rule(host: str, tls: str) -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: tls, namespace: istio-demo}}
spec: {{host: {host}, trafficPolicy: {{tls: {tls}}}}}
"""


class World:
    def __init__(self, site: Site, desk: Path) -> None:
        self.site, self._desk = site, desk

    @contextmanager
    def applied(self, *texts: str) -> Iterator[None]:
        files = [self._file(number, text) for number, text in enumerate(texts)]
        self.site.apply(files)
        try:
            yield
        finally:
            self.site.delete(reversed(files))

    def _file(self, number: int, text: str) -> Path:
        path = self._desk / f"{number}.yaml"
        path.write_text(text)
        return path

    def see(self, run: str, *answers: str, host: str = "client") -> None:
        wanted = Look(says="", host=host, run=run, answers=frozenset(answers))
        seen = look(self.site.lab, wanted)
        assert not seen.why, f"{seen.why}, but {run!r} printed {seen.printed}"

    def told(self, host: str, run: str) -> str:
        return self.site.lab.host(host).run(["bash", "-c", run], check=False).stdout


@pytest.fixture
def world(site: Site, tmp_path: Path) -> World:
    """The VM is in the mesh, ``docker`` and ``outside`` are not."""
    scene = find("02")
    site.prepare(scene)
    site.clear(scene)
    servers = [("web", "80"), ("tls", "443"), ("mutual-tls", str(MTLS))]
    wanted = tuple(Server(kind=kind, where=where) for kind, where in servers)
    if f"mutual-tls:{MTLS}@outside" not in site.services:
        site.be(Part(host="outside", serves=wanted, sysctl={}), (NAME,))
    return World(site, tmp_path)


def count(printed: str) -> Counter[str]:
    return Counter(printed.splitlines())


def test_weights_are_kept_over_three_destinations(world: World) -> None:
    """Drawn by lot: 300 requests at 20, 30 and 50 per cent, six standard deviations on each side."""
    http = """
  - route:
    - {destination: {host: shop.jd.com, subset: docker}, weight: 20}
    - {destination: {host: shop.jd.com, subset: outside}, weight: 30}
    - {destination: {host: nginx.jd.com}, weight: 50}"""
    with world.applied(NGINX, ENTRY, SUBSETS, routes(http)):
        world.see(f"curl -sS 'http://{NAME}/[1-40]'", VM, DOCKER, OUTSIDE)
        answers = count(world.told("client", f"curl -sS 'http://{NAME}/[1-300]'"))
    assert answers.total() == 300
    assert 20 <= answers[DOCKER] <= 100
    assert 42 <= answers[OUTSIDE] <= 138
    assert 98 <= answers[VM] <= 202


def test_endpoints_have_weights_of_their_own(world: World) -> None:
    entry = ENTRY.replace("192.168.0.70,", "192.168.0.70, weight: 9,").replace("20,", "20, weight: 1,")
    with world.applied(entry):
        world.see(f"curl -sS 'http://{NAME}/[1-60]'", DOCKER, OUTSIDE)
        answers = count(world.told("client", f"curl -sS 'http://{NAME}/[1-200]'"))
    assert 2 <= answers[DOCKER] <= 50, answers
    assert answers.total() == 200


def test_a_route_goes_by_path_and_header(world: World) -> None:
    http = """
  - match: [{uri: {prefix: /basket}}]
    route: [{destination: {host: shop.jd.com, subset: docker}}]
  - match: [{headers: {x-tester: {exact: "yes"}}}]
    route: [{destination: {host: shop.jd.com, subset: docker}}]
  - route: [{destination: {host: shop.jd.com, subset: outside}}]"""
    with world.applied(ENTRY, SUBSETS, routes(http)):
        world.see(f"curl -sS 'http://{NAME}/[1-10]'", OUTSIDE)
        world.see(f"curl -sS 'http://{NAME}/basket/[1-10]'", DOCKER)
        world.see(f"curl -sS -H 'x-tester: yes' 'http://{NAME}/[1-10]'", DOCKER)


def test_a_service_is_reached_at_its_own_address_too(world: World) -> None:
    entry = ENTRY.replace("  location", "  addresses: [10.96.5.5]\n  location")
    with world.applied(entry):
        world.see(f"dig +short {NAME}", "10.96.5.5")
        world.see("curl -sS 'http://10.96.5.5/[1-30]'", DOCKER, OUTSIDE)


def test_what_is_exported_to_its_own_namespace_is_not_there_for_others(world: World) -> None:
    entry = ENTRY.replace("namespace: istio-demo", "namespace: elsewhere")
    with world.applied(entry):
        world.see(f"curl -sS 'http://{NAME}/[1-30]'", DOCKER, OUTSIDE)
        with world.applied(entry.replace("spec:", 'spec:\n  exportTo: ["."]')):
            world.see(f"dig +short {NAME}")
        with world.applied(entry.replace("spec:", "spec:\n  exportTo: [istio-demo]")):
            world.see(f"curl -sS 'http://{NAME}/[1-30]'", DOCKER, OUTSIDE)


def test_tls_to_a_server_is_what_the_rule_says(world: World) -> None:
    """The application speaks plain HTTP; what goes over the wire is the rule's business."""
    files = "clientCertificate: /etc/certs/myclientcert.pem, privateKey: /etc/certs/client_private_key.pem"
    roots = "caCertificates: /etc/certs/rootcacerts.pem"
    entry = ENTRY.replace("  - {address: 192.168.0.20, labels: {class: docker}}\n", "")
    simple, mutual = (
        entry.replace("class: outside}", f"class: outside}}, ports: {{http: {port}}}") for port in (443, MTLS)
    )
    with world.applied(entry, rule(NAME, "{mode: DISABLE}")):
        world.see(f"curl -sS http://{NAME}/", OUTSIDE)
    with world.applied(simple, rule(NAME, f"{{mode: SIMPLE, sni: {NAME}, {roots}}}")):
        world.see(f"curl -sS http://{NAME}/", f"a site for {NAME}")
    with world.applied(mutual, rule(NAME, f"{{mode: MUTUAL, sni: {NAME}, {files}, {roots}}}")):
        world.see(f"curl -sS http://{NAME}/", f"a site for {NAME}, shown by client.somedomain")


def test_the_meshs_own_tls_is_used_unless_a_rule_says_otherwise(world: World) -> None:
    shown = "tail -n1 /var/log/nginx/access.log | grep -oE 'URI=[^;]*|xfcc=-'"
    client = "URI=spiffe://cluster.local/ns/istio-demo/sa/default"
    asked = "curl -sS -o /dev/null http://nginx.jd.com/"
    with world.applied(NGINX):
        world.see("curl -sS http://nginx.jd.com/", VM)
        for tls, seen in (("{mode: ISTIO_MUTUAL}", client), ("{mode: DISABLE}", "xfcc=-"), (None, client)):
            with world.applied(*[rule("nginx.jd.com", tls)] if tls else []):
                _until_shown(world, asked, shown, seen)


def _until_shown(world: World, asked: str, shown: str, seen: str) -> None:
    for _ in range(200):
        world.told("client", asked)
        if world.told("vm", shown).strip() == seen:
            return
    pytest.fail(f"the VM was not shown {seen}: {world.told('vm', shown)}")


STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-demo}
spec: {mtls: {mode: STRICT}}
"""


def test_the_vm_takes_plain_and_mutual_tls_until_it_is_told_to_be_strict(world: World) -> None:
    plain = "curl -s --max-time 5 http://192.168.0.204/"
    with world.applied(NGINX):
        world.see(plain, VM, host="outside")
        world.see("curl -sS http://nginx.jd.com/", VM)
        with world.applied(STRICT):
            world.see(plain, host="outside")
            world.see("curl -sS http://nginx.jd.com/", VM)
        world.see(plain, VM, host="outside")


def test_what_the_mesh_does_not_know_passes_or_does_not(world: World) -> None:
    asked = "curl -sS -o /dev/null --max-time 5 -w '%{http_code}\\n' http://outside.example/"
    secured = "curl -sk --max-time 5 https://outside.example/ || echo nothing"
    world.see(asked, "200")
    world.see(secured, "a site for outside.example")
    mesh: dict[str, Any] = {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}
    world.site.configure(mesh)
    try:
        world.see(secured, "nothing")
        world.see(f"{asked} 2>/dev/null", "000")
        with world.applied(ENTRY):  # now Envoy reads HTTP on that port, and can say so
            world.see(asked, "502")
        with world.applied(ENTRY.replace(NAME, "outside.example")):
            world.see(asked, "200")
    finally:
        world.site.configure({})
    world.see(asked, "200")


def test_an_account_that_nobody_knows_gets_no_token(world: World, tmp_path: Path) -> None:
    group = yaml.safe_load((STORY / "workloadgroup.yaml").read_text())
    group["spec"]["template"]["serviceAccount"] = "stranger"
    path = tmp_path / "stranger.yaml"
    path.write_text(yaml.safe_dump(group))
    with pytest.raises(LabError, match="stranger"):
        configure(world.site.istiod, Joining(group=path))
    assert not world.site.istiod.exists(f"{DESK}/istio-token")
