"""Python's TLS is not there until somebody speaks it, and then it works as if it had always been there."""

import asyncio
import ipaddress
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509

from tests.authority import Authority

AGENT = """
import sys
from vmagent.runtime import openssl
openssl.leave_out()
import asyncio
from pathlib import Path
import vmagent.agent, vmagent.daemon
print("ssl" in sys.modules)
root, port = Path(sys.argv[1]), int(sys.argv[2])
"""

DIAGNOSIS = """
from vmagent.identity.diagnose import why_unreachable
from vmagent.identity.endpoint import Endpoint
from vmagent.identity.trust import read
print(asyncio.run(why_unreachable("CA", Endpoint(host="127.0.0.1", port=port), read(root))))
"""

PROBE = """
from vmagent.health.checks import Checks
from vmagent.health.config import HttpGet, ProbeConfig

check = Checks().check
method = HttpGet(host="127.0.0.1", port=port, path="/", tls=True)
probe = ProbeConfig(method=method, default_host="", timeout=5)
print(asyncio.run(check(probe)))
"""


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def port(authority: Authority, tmp_path: Path) -> AsyncIterator[int]:
    """Of a server that speaks TLS and greets."""
    key, chain = authority.server(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    (tmp_path / "pair.pem").write_bytes(key + chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

    async with await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


async def said(what: str, root: bytes, port: int, folder: Path) -> list[str]:
    path = folder / "root-cert.pem"
    path.write_bytes(root)
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", AGENT + what, str(path), str(port), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await agent.communicate()
    return printed.decode().splitlines()


async def test_a_good_peer_is_found_good(authority: Authority, port: int, tmp_path: Path) -> None:
    assert await said(DIAGNOSIS, authority.root_pem, port, tmp_path) == ["False", "None"]


async def test_the_wrong_root_is_still_named(port: int, tmp_path: Path) -> None:
    loaded, why = await said(DIAGNOSIS, Authority().root_pem, port, tmp_path)
    assert loaded == "False"
    assert "does not match CA 127.0.0.1" in why


async def test_a_probe_over_tls_is_made(authority: Authority, port: int, tmp_path: Path) -> None:
    assert await said(PROBE, authority.root_pem, port, tmp_path) == ["False", "None"]
