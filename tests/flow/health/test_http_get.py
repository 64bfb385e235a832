"""``httpGet`` against a real peer on a real socket; the sentences are those an operator reads in the
WorkloadEntry.
"""

import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509

from tests.authority import Authority
from tests.flow.health.application import OK, Application, probe
from tests.ports import free_port
from vmagent.health.checks import Checks
from vmagent.health.config import Header, HttpGet

check = Checks().check


async def test_an_http_probe_comes_from_the_address_that_capture_lets_through() -> None:
    async with Application(OK).running() as app:
        method = HttpGet(port=app.port, path="/ready", headers=(Header(name="X-A", value="1"),))
        assert await check(probe(method)) is None
    assert app.peers == ["127.0.0.6"]
    assert app.heard[0].startswith(b"GET /ready HTTP/1.1\r\n")
    assert b"X-A: 1\r\n" in app.heard[0]
    assert b"User-Agent: istio-probe/1.0\r\n" in app.heard[0]


@pytest.mark.parametrize("status", [200, 204, 301, 399])
async def test_a_status_from_200_to_399_is_healthy(status: int) -> None:
    async with Application(f"HTTP/1.1 {status} X\r\n\r\n".encode()).running() as app:
        assert await check(probe(HttpGet(port=app.port))) is None


async def test_lines_may_end_with_lf_alone_and_an_announcement_may_come_first() -> None:
    answer = b"HTTP/1.1 100 Continue\n\nHTTP/1.1 302 Found\nLocation: /ready\n\n"
    async with Application(answer, b"HTTP/1.0 200 OK\nContent-Type: text/plain\n\nok").running() as app:
        assert await check(probe(HttpGet(port=app.port))) is None
    assert [heard.split(b" ")[1] for heard in app.heard] == [b"/", b"/ready"]


@pytest.mark.parametrize("status", [400, 404, 500, 503])
async def test_another_status_is_told(status: int) -> None:
    async with Application(f"HTTP/1.1 {status} X\r\n\r\n".encode()).running() as app:
        said = await check(probe(HttpGet(port=app.port)))
        assert said == f'Get "http://127.0.0.1:{app.port}/": status {status}, which is not from 200 to 399'


async def test_an_application_that_does_not_listen_is_told_with_both_ends() -> None:
    port = free_port()
    said = await check(probe(HttpGet(port=port)))
    assert said == (
        f'Get "http://127.0.0.1:{port}/": dial tcp 127.0.0.6:0->127.0.0.1:{port}: connect: connection refused'
    )


async def test_an_application_that_hangs_is_given_up_in_time() -> None:
    async with Application().running() as app:
        began = time.monotonic()
        said = await check(probe(HttpGet(port=app.port), timeout=0.2))
        assert time.monotonic() - began < 0.5
    assert said is not None
    assert said.endswith(": no answer within 0.2 s")


async def test_interim_answers_are_passed_over() -> None:
    async with Application(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK).running() as app:
        assert await check(probe(HttpGet(port=app.port))) is None


async def test_redirects_are_followed_and_the_last_answer_counts() -> None:
    answers = (b"HTTP/1.1 302 Found\r\nLocation: /two\r\n\r\n", b"HTTP/1.1 503 No\r\n\r\n")
    async with Application(*answers).running() as app:
        said = await check(probe(HttpGet(port=app.port, path="/one")))
    assert said is not None
    assert "status 503" in said
    assert [heard.split()[1] for heard in app.heard] == [b"/one", b"/two"]


async def test_a_circle_of_redirects_ends() -> None:
    async with Application(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n").running() as app:
        said = await check(probe(HttpGet(port=app.port)))
    assert said is not None
    assert said.endswith("more than 10 redirects")
    assert len(app.heard) == 11


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "the answer is not HTTP"),
        (b"", "closed before an answer"),
        (b"HTTP/1.1 200 OK\r\n", "closed before an answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, "more than 65536 bytes of headers"),
        (b"HTTP/1.1 302 Found\r\nLocation: gopher://x\r\n\r\n", "which is not http"),
    ],
)
async def test_a_strange_answer_is_told(answer: bytes, sentence: str) -> None:
    async with Application(answer).running() as app:
        said = await check(probe(HttpGet(port=app.port)))
    assert said is not None
    assert sentence in said


async def test_https_does_not_ask_who_the_application_is(tmp_path: Path) -> None:
    key, chain = Authority().server(x509.DNSName("elsewhere"))
    (tmp_path / "pem").write_bytes(key + chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem")
    async with Application(OK).running(tls=context) as app:
        assert await check(probe(HttpGet(port=app.port, tls=True))) is None


async def test_https_to_a_plain_port_is_told() -> None:
    async with Application(b"HTTP/1.1 400 Bad Request\r\n\r\n").running() as app:
        said = await check(probe(HttpGet(port=app.port, tls=True), timeout=0.5))
    assert said is not None
    assert said.startswith(f'Get "https://127.0.0.1:{app.port}/": ')


async def test_a_name_that_does_not_resolve_is_told() -> None:
    said = await check(probe(HttpGet(port=80, host="nowhere.invalid"), timeout=10.0))
    assert said is not None
    assert "lookup of nowhere.invalid" in said


async def test_an_ipv6_application_is_reached() -> None:
    async with Application(OK).running(host="::1") as app:
        assert await check(probe(HttpGet(port=app.port), host="::1")) is None
