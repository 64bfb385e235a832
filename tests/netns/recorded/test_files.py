"""A VM that calls a database with its own certificates: a real istiod's configuration, real files, real
permissions, captured traffic.
"""

import ipaddress
from collections.abc import Iterator
from typing import Final

import pytest
from cryptography import x509

from lab.hosts.lab import Lab
from lab.hosts.services import AGENT_LOG
from tests.authority import Authority
from tests.netns.recorded.machine import RECORDED, Machine
from tests.netns.wrong_files.machine import DOCUMENT, documented

MONGO: Final = RECORDED / "08-mongodb-mutual-tls" / "client"
CHAIN, KEY, ROOT = (
    "/etc/certs/myclientcert.pem",
    "/etc/certs/client_private_key.pem",
    "/etc/certs/rootcacerts.pem",
)
"""As the DestinationRule of the document names them."""

BACKENDS: Final = ("2.2.2.2", "3.3.3.3")
SERVER_LOG: Final = "/var/log/mongo.log"

SERVER: Final = """
import socketserver, ssl, sys

class Tells(socketserver.StreamRequestHandler):
    def handle(self):
        serial = self.connection.getpeercert()["serialNumber"]
        for _ in self.rfile:
            self.wfile.write(f"{int(serial, 16)}\\n".encode())

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tmp/server.pem")
context.verify_mode = ssl.CERT_REQUIRED
context.load_verify_locations("/tmp/clients.pem")
server = Server(("0.0.0.0", 27018), Tells)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""

CLIENT: Final = """
import socket
with socket.create_connection(("192.192.192.7", 27018), 3) as s:
    s.settimeout(3)
    s.sendall(b"who am I?\\n")
    print(s.makefile().readline().strip())
"""
"""An address of the ServiceEntry's range, where nobody is."""

pytestmark = pytest.mark.skipif(not MONGO.exists(), reason="../shared/recordings is not present")


class Database:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.authority = Authority()

    def start(self) -> None:
        """Two addresses that are one host's; the VM knows the way."""
        outside, vm = self.machine.lab.host("outside"), self.machine.host
        names = [x509.IPAddress(ipaddress.ip_address(each)) for each in BACKENDS]
        key, chain = self.authority.server(*names)
        outside.write("/tmp/server.pem", (key + chain).decode(), mode=0o600)
        outside.write("/tmp/clients.pem", self.authority.root_pem.decode())
        outside.write("/tmp/server.py", SERVER)
        for address in BACKENDS:
            outside.run(["ip", "address", "add", f"{address}/32", "dev", "eth0"])
            vm.run(["ip", "route", "add", f"{address}/32", "via", outside.address])
        process = outside.spawn(["/usr/bin/python3", "-I", "/tmp/server.py"], log=SERVER_LOG)
        outside.until_listening(process, 27018)

    def issue(self) -> tuple[str, str, str]:
        """A client's chain and key, and its serial number."""
        key, chain = self.authority.server(x509.DNSName("client"))
        return chain.decode(), key.decode(), str(x509.load_pem_x509_certificate(chain).serial_number)

    def asked(self) -> str:
        """The serial number of the certificate that the database was shown by the VM; empty if it was not
        reached.
        """
        return self.machine.host.run(["python3", "-c", CLIENT], check=False).stdout.strip()


def told(machine: Machine, words: str) -> str:
    """What the status says of the secrets, once these words are in it; the operator's page has it, too."""
    lines: list[str] = []

    def said() -> bool:
        lines[:] = [line for line in machine.status.splitlines() if words in line]
        return bool(lines)

    machine.until(words, said)
    _, _, line = lines[0].partition("secrets: ")
    for sentence in line.split("; /"):  # each begins with the file, but for the one about two
        sentence = sentence if sentence.startswith(("/", "the key")) else f"/{sentence}"
        assert documented(sentence) in DOCUMENT.read_text(), f"{DOCUMENT.name} lacks: {documented(sentence)}"
    return line


@pytest.fixture
def database() -> Iterator[Database]:
    lab = Lab("files")
    lab.down()
    lab.up()
    try:
        machine = Machine(lab)
        machine.prepare(MONGO, name="vm", namespace="istio-demo", label="app: client")
        made = Database(machine)
        made.start()
        yield made
        machine.stop()
    finally:
        lab.down()


def test_a_database_is_reached_with_certificates_from_files_as_soon_as_they_may_be_read_and_while_they_change(
    database: Database,
) -> None:
    vm, machine = database.machine.host, database.machine
    chain, key, first = database.issue()
    vm.write(CHAIN, chain)
    vm.write(KEY, key, mode=0o600)  # root's, as an operator leaves it
    machine.start()
    machine.until("captured", lambda: machine.captured)
    told(machine, f"{ROOT} does not exist")
    vm.write(ROOT, database.authority.root_pem.decode())
    line = told(machine, f"{KEY} cannot be read: permission denied")
    assert "ready" in machine.status.splitlines()[0]
    assert database.asked() == ""
    remedy = line.partition("permission denied; ")[2].partition(", and let")[0]
    assert remedy == f"chgrp istio-proxy {KEY} && chmod g+r {KEY}"
    vm.run(["sh", "-c", remedy])
    machine.until("reached", lambda: database.asked() == first)
    assert "permission denied" not in machine.status
    assert "2 from files, the first certificate expires at " in machine.status
    chain, key, second = database.issue()
    vm.write(CHAIN, chain)
    assert database.asked() == first
    told(machine, f"the key {KEY} does not belong to the certificate in {CHAIN}")
    assert database.asked() == first
    vm.write(KEY, key, mode=0o600, owner="istio-proxy")
    machine.until("reached with the new one", lambda: database.asked() == second)
    log = vm.read(AGENT_LOG)
    assert f"{KEY} cannot be read: permission denied; chgrp istio-proxy" in log
    assert "PRIVATE" not in log
