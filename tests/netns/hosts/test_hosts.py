"""A lab is five machines that share a kernel and nothing else, and it leaves nothing."""

import re
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dnslib
import pytest

from lab.hosts import kernel, services
from lab.hosts.errors import LabError
from lab.hosts.host import Host
from lab.hosts.lab import Lab
from lab.hosts.world import CLUSTER_DNS, ISTIOD, MACHINES, OUTSIDE
from tests.conftest import ROOT
from tests.netns.hosts.conftest import OTHER
from tests.netns.hosts.traces import traces

NAME = "hosts-test"
NAMES = [machine.name for machine in MACHINES]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab(NAME)
    lab.down()
    lab.up()
    yield lab
    lab.down()


@pytest.mark.parametrize("name", NAMES)
def test_every_host_reaches_every_other(lab: Lab, name: str) -> None:
    for there in lab.hosts:
        lab.host(name).run(["ping", "-c1", "-W2", there.address])


def test_the_clusters_name_server_is_reached_over_the_gateway(lab: Lab) -> None:
    client = lab.host("client")
    assert f"{CLUSTER_DNS} via 192.168.0.1 dev eth0" in client.run(["ip", "route", "get", CLUSTER_DNS]).stdout
    client.run(["ping", "-c1", "-W2", CLUSTER_DNS])


def test_an_address_of_no_one_has_a_route_so_that_connect_may_be_redirected(lab: Lab) -> None:
    assert "via 192.168.0.1" in lab.host("client").run(["ip", "route", "get", "240.240.0.1"]).stdout


def test_a_host_is_called_what_it_is_called_in_the_documents(lab: Lab) -> None:
    assert lab.host("vm").run(["hostname"]).stdout == "vm204\n"


def test_what_is_written_in_a_host_stays_there(lab: Lab) -> None:
    paths = [
        f"{directory}/lab-was-here"
        for directory in ("/etc", "/var/lib", "/usr/lib", "/run", "/tmp", "/dev/shm")
    ]
    vm = lab.host("vm")
    for path in paths:
        vm.write(path, "x", mode=0o600, owner="istio-proxy")
    assert [path for path in paths if lab.host("client").exists(path) or Path(path).exists()] == []
    assert vm.run(["stat", "--format=%a %U", paths[0]]).stdout == "600 istio-proxy\n"


def test_files_that_programs_replace_by_renaming_can_be_replaced(lab: Lab) -> None:
    for path in ("/etc/hosts", "/etc/resolv.conf"):
        lab.host("vm").run(["sh", "-c", f"cp {path} {path}.new && mv {path}.new {path}"])


def test_a_host_sees_its_own_processes_and_network_only(lab: Lab) -> None:
    client = lab.host("client")
    assert client.run(["cat", "/proc/1/cmdline"]).stdout.split("\0")[-2] == "client"
    assert sorted(client.run(["ls", "/sys/class/net"]).stdout.split()) == ["eth0", "lo"]


def test_the_user_and_its_directories_are_those_that_the_package_makes(lab: Lab) -> None:
    vm = lab.host("vm")
    uid, gid = (
        vm.run(["id", "-u", "istio-proxy"]).stdout.strip(),
        vm.run(["id", "-g", "istio-proxy"]).stdout.strip(),
    )
    assert uid != gid
    assert "1337" not in (uid, gid)
    assert vm.run(["readlink", "/etc/istio"]).stdout == "/var/lib/istio\n"
    for path, mode in {
        "/etc/istio/proxy": "700",
        "/var/run/secrets/tokens": "700",
        "/etc/certs": "755",
    }.items():
        assert vm.run(["stat", "-L", "--format=%a %U", path]).stdout == f"{mode} istio-proxy\n"
    assert vm.run(["stat", "--format=%a %U", "/run/secrets"]).stdout == "755 root\n"


def test_a_directory_of_istios_own_agent_stays_and_serves(lab: Lab) -> None:
    vm = lab.host("client")
    vm.run(["sh", "-c", "rm /etc/istio && mkdir -p /etc/istio/config && touch /etc/istio/config/mesh"])
    try:
        vm.run(["systemd-tmpfiles", "--create", "istio-agent.conf"])
        assert vm.exists("/etc/istio/config/mesh")
        told = vm.run(["stat", "--format=%F %a %U", "/etc/istio", "/etc/istio/proxy"]).stdout
        assert told.splitlines() == ["directory 755 root", "directory 700 istio-proxy"]
    finally:
        vm.run(["sh", "-c", "rm -r /etc/istio && systemd-tmpfiles --create istio-agent.conf"])
    assert vm.run(["readlink", "/etc/istio"]).stdout == "/var/lib/istio\n"


def test_an_unprivileged_user_can_run_the_agent_and_envoy(lab: Lab) -> None:
    vm = lab.host("vm")
    assert "version" in vm.run(["vmagent", "--version"], user="istio-proxy").stdout
    assert "version" in vm.run(["/usr/lib/istio-agent/bin/envoy", "--version"], user="istio-proxy").stdout


def test_nothing_of_the_agent_is_reached_through_the_clone(lab: Lab) -> None:
    code = "import grpc, vmagent, sys; print(open('/proc/self/maps').read(), *sys.path, vmagent.__file__)"
    told = (
        lab.host("vm").run(["/usr/lib/istio-agent/bin/python3", "-I", "-c", code], user="istio-proxy").stdout
    )
    assert "/usr/lib/istio-agent/" in told
    assert str(ROOT) not in told


def ask(host: Host, server: str, name: str) -> tuple[str, list[str]]:
    """The answer's code and addresses."""
    with kernel.inside_network(host.network):
        packet = dnslib.DNSRecord.question(name).send(server, 53, timeout=2)
    answer = dnslib.DNSRecord.parse(packet)
    return dnslib.RCODE[answer.header.rcode], [str(record.rdata) for record in answer.rr]


@pytest.mark.parametrize(
    ("name", "server", "question", "answer"),
    [
        ("vm", "127.0.0.53", "outside.example", ("NOERROR", [OUTSIDE])),
        ("vm", "127.0.0.53", "nginx.jd.com", ("NXDOMAIN", [])),
        ("vm", "127.0.0.53", "istiod.istio-system.svc", ("NXDOMAIN", [])),
        ("docker", ISTIOD, "outside.example", ("NOERROR", [OUTSIDE])),
        ("docker", ISTIOD, "nginx.jd.com", ("NXDOMAIN", [])),
        ("client", CLUSTER_DNS, "istiod.istio-system.svc", ("NOERROR", [ISTIOD])),
        ("client", CLUSTER_DNS, "outside.example", ("NOERROR", [OUTSIDE])),
        ("client", CLUSTER_DNS, "nginx.jd.com", ("NXDOMAIN", [])),
    ],
)
def test_each_name_server_knows_its_names_and_no_other(
    lab: Lab, name: str, server: str, question: str, answer: tuple[str, list[str]]
) -> None:
    assert f"nameserver {server}\n" in lab.host(name).read("/etc/resolv.conf")
    assert ask(lab.host(name), server, question) == answer


def test_the_application_says_where_it_runs_and_whose_certificate_it_was_shown(lab: Lab) -> None:
    vm = lab.host("vm")
    service = services.start_application(vm)
    header = "X-Forwarded-Client-Cert: URI=spiffe://cluster.local/ns/istio-demo/sa/default"
    told = lab.host("docker").run(["curl", "-sS", "-H", header, f"http://{vm.address}/"]).stdout
    assert told == "Welcome to nginx on vm204!\n"
    last = vm.read(services.ACCESS_LOG).splitlines()[-1]
    assert last.startswith("GET / HTTP/1.1\tstatus=200\tpeer=192.168.0.20\t")
    assert last.endswith("\txfcc=URI=spiffe://cluster.local/ns/istio-demo/sa/default")
    assert service.stop() == -signal.SIGTERM


@pytest.mark.parametrize("name", [services.AGENT, services.CAPTURE])
def test_a_service_runs_with_the_rights_of_its_unit_and_no_more(lab: Lab, name: str) -> None:
    unit = replace(services.read_unit(name), command=("/usr/bin/sleep", "60"))
    vm = lab.host("vm")
    service = services.start_unit(vm, unit, log="/var/log/rights.log")
    status = {"Name": ""}
    deadline = time.monotonic() + 10
    while status["Name"] != "sleep":  # before that it is a shell that gives up the rights
        assert time.monotonic() < deadline, status
        text = vm.read(f"/proc/{service.process.pid}/status")
        status = dict(re.findall(r"^(\w+):\t(.*)$", text, re.MULTILINE))
    net_admin_net_raw_dac_read_search = 1 << 12 | 1 << 13 | 1 << 2
    allowed = 0 if name == services.AGENT else net_admin_net_raw_dac_read_search
    assert int(status["CapBnd"], 16) == allowed
    assert int(status["CapEff"], 16) == allowed
    assert int(status["CapInh"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Uid"].split()[0] == vm.run(["id", "-u", unit.user]).stdout.strip()
    assert vm.run(["stat", "--format=%U", f"/run/{unit.runtime_directory}"]).stdout == f"{unit.user}\n"
    assert service.stop() == -signal.SIGTERM
    assert vm.exists(f"/run/{unit.runtime_directory}") == unit.keeps_runtime_directory


def test_systemd_finds_nothing_to_say_about_the_units_where_they_are_installed(lab: Lab) -> None:
    for name in (services.AGENT, services.CAPTURE):
        unit = f"/usr/lib/systemd/system/{name}.service"
        done = lab.host("vm").run(["systemd-analyze", "verify", "--man=no", unit])
        assert [line for line in done.stderr.splitlines() if "istio" in line] == []


def test_how_a_service_ended_is_known_though_nobody_of_ours_is_its_parent(lab: Lab) -> None:
    process = lab.host("vm").spawn(["sh", "-c", "exit 42"], log="/var/log/short.log")
    assert process.wait(5) == 42


def test_what_hangs_is_ended_with_all_it_started(lab: Lab) -> None:
    vm = lab.host("vm")
    with pytest.raises(LabError, match=r"no answer after 0\.2 s"):
        vm.run(["sh", "-c", "sleep 4711 & sleep 4711"], timeout=0.2)
    assert "4711" not in vm.run(["sh", "-c", "cat /proc/[0-9]*/cmdline"]).stdout.replace("cat", "")


def test_a_lab_that_stands_is_not_made_again(lab: Lab) -> None:
    with pytest.raises(LabError, match="is up already"):
        lab.up()
    assert lab.is_up


def test_two_labs_stand_beside_each_other_and_one_may_go(lab: Lab, other: Lab) -> None:
    other.up()
    other.host("vm").write("/etc/which", OTHER)
    assert not lab.host("vm").exists("/etc/which")
    other.host("client").run(["ping", "-c1", "-W2", "192.168.0.204"])
    other.down()
    assert traces(OTHER) == []
    lab.host("client").run(["ping", "-c1", "-W2", "192.168.0.204"])
