"""Files that cannot be used are named with line, key, value and remedy, and taken up once they can."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.authority import Authority, pem
from tests.netns.wrong_files.machine import CLUSTER_ENV, HEALED, MESH, ROOT_CERT, Machine

Change = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    name: str
    words: tuple[str, ...]
    env: Change = str
    mesh: Change = str
    root: Change = str


def _replaced(old: str, new: str) -> Change:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return change


UNCLOSED = _replaced("SERVICE_ACCOUNT='vm'", "SERVICE_ACCOUNT='vm")

CASES = (
    Case(
        name="a quote in cluster.env that is never closed",
        env=UNCLOSED,
        words=(f"{CLUSTER_ENV}:", "SERVICE_ACCOUNT=", "the quote ' is never closed"),
    ),
    Case(
        name="Windows line ends in cluster.env",
        env=lambda text: text.replace("\n", "\r\n"),
        words=(f"{CLUSTER_ENV}:1: ", "Windows line end", "sed -i"),
    ),
    Case(
        name="a wrong type in the mesh file",
        mesh=lambda text: re.sub(r"port: 80\b", "port: eighty", text),
        words=(f"{MESH}:", "readinessProbe.httpGet.port='eighty'", "expected a whole number", "1 to 65535"),
    ),
    Case(
        name="a tab in the mesh file",
        mesh=_replaced("  discoveryAddress", "\tdiscoveryAddress"),
        words=(f"{MESH}:", "discoveryAddress", "a tab in the indentation", "expand"),
    ),
    Case(
        name="a root certificate that was cut off",
        root=lambda text: text[: len(text) // 2],
        words=(f"{ROOT_CERT}:1: ", "certificate 1 has no end", "root-cert.pem"),
    ),
    Case(
        name="a root certificate with a letter too many",
        root=lambda text: text.replace("\n", "\nA", 1),
        words=(f"{ROOT_CERT}:1: ", "certificate 1 is damaged", "root-cert.pem"),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_line_is_named_and_its_repair_is_enough(machine: Machine, case: Case) -> None:
    machine.write_env(case.env)
    machine.write_mesh(case.mesh)
    machine.write_root(case.root)
    machine.start()
    line = machine.until_told("config", *case.words)
    machine.checked(78, line)
    machine.write_env()
    machine.write_mesh()
    machine.write_root()
    machine.until_joined()


def test_files_that_have_not_been_copied_yet_are_waited_for(machine: Machine) -> None:
    machine.vm.run(["rm", CLUSTER_ENV, ROOT_CERT])
    machine.start()
    line = machine.until_told("config", f"waiting for {CLUSTER_ENV} (no such file)", "entry configure")
    machine.checked(75, line)
    machine.write_env()
    machine.write_root()
    assert machine.until_joined() <= HEALED


def test_several_mistakes_are_told_at_once_in_a_line(machine: Machine) -> None:
    machine.write_env(lambda text: text + "ISTIO_META_DNS_CAPTURE=perhaps\nSECRET_TTL=soon\n")
    machine.start()
    machine.until_told(
        "config", "2 things are wrong", "ISTIO_META_DNS_CAPTURE='perhaps'", " | ", "SECRET_TTL"
    )


def test_an_unknown_key_stops_nothing_and_stays_in_sight(machine: Machine) -> None:
    machine.write_mesh(_replaced("  discoveryAddress:", "  discoveryAdress:"))
    machine.start()
    line = machine.until_noted(f"{MESH}:", "defaultConfig.discoveryAdress", "did you mean discoveryAddress?")
    machine.until_joined()
    strict = machine.vm.run(["vmagent", "config", "check", "--strict"], check=False)
    assert strict.returncode == 78
    assert line in strict.stderr


def test_a_root_of_another_mesh_is_named_with_both_issuers(machine: Machine) -> None:
    machine.write_root(lambda _: pem(Authority("another.mesh").cert))
    machine.start()
    machine.until_told(
        "identity", f"{ROOT_CERT} does not match", "was signed by", "O=cluster.local", "O=another.mesh"
    )
    machine.write_root()
    assert machine.until_joined() <= HEALED


def test_a_server_name_that_the_control_plane_does_not_bear_is_told_with_those_it_does(
    machine: Machine,
) -> None:
    machine.write_env(lambda text: text + "ISTIOD_SAN='istiod.elsewhere.svc'\n")
    machine.start()
    machine.until_told("identity", "istiod.elsewhere.svc", "istiod.istio-system.svc", "ISTIOD_SAN")


def test_a_control_plane_by_a_name_of_ones_own_is_not_believed(machine: Machine) -> None:
    machine.vm.run(["sh", "-c", "grep -q mesh.corp /etc/hosts || echo 192.168.0.59 mesh.corp >>/etc/hosts"])
    machine.write_mesh(
        lambda text: re.sub(r"discoveryAddress: .*", "discoveryAddress: mesh.corp:15012", text)
    )
    machine.start()
    machine.until_told("identity", "mesh.corp:15012", "server name should be mesh.corp", "ISTIOD_SAN")


def test_while_it_waits_for_a_file_captured_traffic_goes_direct(machine: Machine) -> None:
    """The agent crashed, and what it would start with has been damaged meanwhile."""
    machine.start()
    machine.until_joined()
    machine.until_captured()
    machine.write_env(UNCLOSED)
    machine.crash()
    machine.until_released()
    machine.until_told("config", CLUSTER_ENV, "never closed")
    machine.write_env()
    machine.until_joined()
    machine.until_captured()
