"""What a real istiod sent, served in place of the lab's own snapshot, carries traffic: two machines with the
agent and a stock Envoy each, real packets, captured.

Addresses of the recordings are those of this lab where the documents name them. Others are moved to hosts
that there are, in endpoints alone (``MOVED``); every other byte is as it was recorded.
"""

import base64
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509

from lab.controlplane import type_urls
from lab.demo import joining, traffic
from lab.demo.names import CONFIGURE, CURL, DOCKER_ANSWER, INSTALL, OUTSIDE_ANSWER, VM_ANSWER
from lab.demo.stage import SCENARIO, Stage
from lab.hosts import services
from lab.hosts.cluster import Cluster
from lab.hosts.lab import Lab
from lab.hosts.process import Process
from tests.authority import Authority
from tests.conftest import RECORDINGS, ROOT
from tests.staging import staged

ISTIOD = RECORDINGS / "istiod-1.29.6"
SITE = "/usr/local/lib/site.py"
DOCKER, OUTSIDE = "192.168.0.20", "192.168.0.70"
OWN_NAMES = ("api.dropboxapi.com", "api.facebook.com", "www.googleapis.com")

MOVED: dict[str, dict[str, str]] = {
    "05-external-dns": {"www.baidu.com": OUTSIDE},
    "07-external-https-sni": dict.fromkeys(OWN_NAMES, OUTSIDE),
    "13-http-proxy-dns-endpoints": {
        "us.foo.bar.com": f"{OUTSIDE}:80",
        "uk.foo.bar.com": f"{DOCKER}:80",
        "in.foo.bar.com": f"{DOCKER}:80",
    },
    "14-subject-alt-names": {"2.2.2.2": OUTSIDE, "3.3.3.3": DOCKER},
}

pytestmark = pytest.mark.skipif(not ISTIOD.is_dir(), reason="../shared/recordings is not present")


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Everybody has joined, and nothing is recorded yet."""
    lab = Lab("recorded")
    with staged(lab) as stage:
        _start(stage)
        joining.describe(stage)
        _join(stage, "vm")
        lab.host("istiod").copy_in(SCENARIO / "client-sidecar.yaml", "/tmp/client-sidecar.yaml")
        stage.type("istiod", f"{CONFIGURE} -f client-sidecar.yaml -o client")
        _join(stage, "client")
        yield stage


def _start(stage: Stage) -> None:
    istiod = stage.lab.host("istiod")
    istiod.run(["install", "-d", "/srv/recordings"])
    istiod.run(["bash", "-c", "base64 -d | tar -xC /srv/recordings"], input=_packed(ISTIOD))
    stage.services["istiod"] = services.start_control_plane(
        istiod,
        resources=SCENARIO / "cluster",
        env={"RECORDINGS": "/srv/recordings"},
        module="tests.netns.recordings.istiod",
    )
    for host in ("vm", "docker", "outside"):
        stage.services[host] = services.start_application(stage.lab.host(host))
    _secure_site(stage)


def _packed(folder: Path) -> str:
    """All that was recorded as protobuf, as the text of a tar file."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for path in sorted(folder.glob("*/*/*.pb")):
            archive.add(path, str(path.relative_to(folder)))
    return base64.b64encode(made.getvalue()).decode()


def _secure_site(stage: Stage) -> None:
    host = stage.lab.host("outside")
    key, chain = Authority().server(x509.DNSName("outside.example"))
    host.write("/etc/site/key.pem", key.decode())
    host.write("/etc/site/chain.pem", chain.decode())
    process = _site(stage, "outside", "443", "/etc/site/key.pem", "/etc/site/chain.pem")
    host.until_listening(process, 443)


def _site(stage: Stage, host: str, *arguments: str) -> Process:
    there = stage.lab.host(host)
    there.copy_in(ROOT / "lab" / "hosts" / "site.py", SITE)
    return there.spawn(["/usr/bin/python3", "-I", "-S", SITE, *arguments], log="/var/log/site.log")


def _join(stage: Stage, host: str) -> None:
    stage.carry(host, "istiod", host)
    for command in INSTALL:
        stage.quietly(host, command.format(host))
    joining.start(stage, host)
    stage.type(host, "vmagent wait --timeout 30 && vmagent wait capture")


def play(
    stage: Stage, scenario: str, *, client: str = "client", moved: Mapping[str, str] | None = None
) -> None:
    """Serve it, and wait until both Envoys have accepted all of it."""
    data = {"scenario": scenario, "client": client, "moved": json.dumps(moved or MOVED.get(scenario, {}))}
    metadata = {"name": "recording", "namespace": "default"}
    cluster = Cluster(stage.lab.host("istiod"))
    before = versions(stage)
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    expected = (ISTIOD / scenario / client / "cds.pb").exists()
    assert expected, f"{scenario}/{client} is not recorded"
    stage.until("the recording is served", lambda: versions(stage) != before, within=10)
    stage.until("both Envoys have accepted it", lambda: settled(stage), within=20)
    for host in ("vm", "client"):
        stage.until(f"{host} tells what it does without", partial(without, stage, host), within=5)


def without(stage: Stage, host: str) -> bool:
    document = json.loads(stage.quietly(host, "vmagent status --json"))
    assert document["refused"] == {}
    return set(document["taken_out"]) == {
        "istio.alpn",
        "istio.metadata_exchange",
        "istio.metadata_exchange (HTTP)",
        "istio.stats",
    }


def watches(stage: Stage) -> list[dict[str, dict[str, object]]]:
    told = json.loads(stage.quietly("istiod", "curl -sS localhost:8001/debug/syncz"))
    return [connection["types"] for connection in told]


def versions(stage: Stage) -> list[list[object]]:
    return [[watch["accepted"] for watch in types.values()] for types in watches(stage)]


def settled(stage: Stage) -> bool:
    """Of endpoints that no cluster asks for any more Envoy does not say that it has accepted them."""
    every = watches(stage)
    rejected = [watch["reason"] for types in every for watch in types.values() if watch["rejected"]]
    assert not rejected, rejected
    return not any(types[url]["unanswered"] for types in every for url in type_urls.WILDCARD)


def fetched(stage: Stage, url: str, *options: str, host: str = "client") -> str:
    return stage.type(host, f"{CURL} {' '.join(options)} {url}", check=False).strip()


def counted(stage: Stage, cluster: str, host: str = "client") -> int:
    """Connections that this host's Envoy has made to a cluster."""
    told = stage.quietly(host, "curl -sS localhost:15000/clusters")
    lines = [line for line in told.splitlines() if line.startswith(f"{cluster}::") and "::cx_total::" in line]
    return sum(int(line.rpartition("::")[2]) for line in lines)


def test_01_a_request_crosses_the_mesh_between_two_recorded_sidecars(stage: Stage) -> None:
    play(stage, "01-vm-joins-the-mesh")
    traffic.request(stage)
    assert fetched(stage, "http://nginx.jd.com/", host="vm") == VM_ANSWER
    assert counted(stage, "inbound|80||", host="vm") > 0


def test_02_both_sidecars_follow_the_recorded_weights(stage: Stage) -> None:
    play(stage, "02-vm-and-pod-shift")
    for host in ("client", "vm"):
        assert {fetched(stage, "http://nginx.jd.com/", host=host) for _ in range(10)} == {VM_ANSWER}
        assert counted(stage, "outbound|80|vm|nginx.jd.com", host=host) > 0


def test_03_an_entry_by_hand_leads_to_the_pod_in_the_clear(stage: Stage) -> None:
    play(stage, "03-manual-workload-entry")
    assert {fetched(stage, "http://xxx.jd.com/") for _ in range(5)} == {DOCKER_ANSWER}


def test_04_a_short_host_leads_to_the_vm(stage: Stage) -> None:
    play(stage, "04-short-host-trap")
    assert fetched(stage, "http://xxx/") == VM_ANSWER


def test_05_an_outside_service_by_name_over_http_and_tls(stage: Stage) -> None:
    play(stage, "05-external-dns")
    assert fetched(stage, "http://www.baidu.com/") == OUTSIDE_ANSWER
    assert fetched(stage, "https://www.baidu.com/", "-k") == "a site for www.baidu.com"
    assert counted(stage, "outbound|443||www.baidu.com") > 0


def test_06_an_outside_service_that_is_dead_is_answered_with_503_and_lives_elsewhere(stage: Stage) -> None:
    play(stage, "06-external-static-dead")
    assert fetched(stage, "http://www.baidu.com/", "-o /dev/null -w '%{http_code}' --max-time 30") == "503"
    play(stage, "06-external-static-dead", moved={"192.168.0.100": OUTSIDE})
    assert fetched(stage, "http://www.baidu.com/") == OUTSIDE_ANSWER
    assert fetched(stage, "https://www.baidu.com/", "-k") == "a site for www.baidu.com"


def test_07_three_outside_services_on_one_port_are_told_apart(stage: Stage) -> None:
    play(stage, "07-external-https-sni")
    for name in OWN_NAMES:
        assert fetched(stage, f"https://{name}/", "-k") == f"a site for {name}"
        assert counted(stage, f"outbound|443||{name}") > 0


def test_09_tls_is_routed_by_server_name_to_the_firewall_whatever_the_address(stage: Stage) -> None:
    play(stage, "09-tls-routing")
    firewall = "outbound|443||internal-egress-firewall.ns1.svc.cluster.local"
    elsewhere = f"--connect-to en.wikipedia.org:443:{DOCKER}:443"
    assert fetched(stage, "https://en.wikipedia.org/", "-k", elsewhere) == "a site for en.wikipedia.org"
    assert counted(stage, firewall) > 0


def test_11_a_wildcard_goes_where_the_application_meant(stage: Stage) -> None:
    play(stage, "11-wildcard-none")
    assert fetched(stage, f"http://{DOCKER}/", "-H 'Host: foo.bar.com'") == DOCKER_ANSWER
    assert counted(stage, "outbound|80||*.bar.com") > 0


def test_12_a_service_on_a_unix_socket(stage: Stage) -> None:
    play(stage, "12-unix-socket")
    stage.quietly("client", "install -d /var/run/example")
    _site(stage, "client", "/var/run/example/socket")
    stage.until("it listens", lambda: "socket" in stage.quietly("client", "ls /var/run/example"), within=5)
    assert fetched(stage, "http://example.unix.local/") == "a site for anybody"


@pytest.mark.parametrize("client", ["client", "client-proxyHttpPort-80"])
def test_13_endpoints_by_name_and_an_http_proxy(stage: Stage, client: str) -> None:
    """Envoy may not bind a port below 1024 on a VM either, unless the machine allows it."""
    proxied = client != "client"
    if proxied:
        stage.quietly("client", "sysctl -qw net.ipv4.ip_unprivileged_port_start=80")
    play(stage, "13-http-proxy-dns-endpoints", client=client)
    proxy = "--proxy http://127.0.0.1:80" if proxied else ""
    answers = {fetched(stage, "http://foo.bar.com/", proxy) for _ in range(20)}
    assert answers == {OUTSIDE_ANSWER, DOCKER_ANSWER}


def test_14_two_addresses_of_a_service_in_the_clear(stage: Stage) -> None:
    play(stage, "14-subject-alt-names")
    assert {fetched(stage, "http://httpbin.com/") for _ in range(20)} == {OUTSIDE_ANSWER, DOCKER_ANSWER}
