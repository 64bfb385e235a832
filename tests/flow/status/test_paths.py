"""Who may ask what of the agent's port."""

import asyncio
import contextlib
import http.client
import json
import socket
import time

import pytest

from tests.flow.status.world import Port, agent
from vmagent.errors import Misconfigured, Unavailable
from vmagent.status import endpoint, handler
from vmagent.status.endpoint import MOST_STRANGERS, Endpoint
from vmagent.status.handler import Actions, Service

STRANGER = "127.0.0.6"


async def test_readiness_names_what_is_missing() -> None:
    async with agent() as port:
        assert (await asyncio.to_thread(port.ask, "/healthz/ready")).status == 200
        port.waiting["xds"] = "the control plane is away"
        answer = await asyncio.to_thread(port.ask, "/healthz/ready?verbose", source=STRANGER)
    assert (answer.status, json.loads(answer.body)) == (503, {"xds": "the control plane is away"})


async def test_what_is_not_there_is_404_and_stays_so_without_callbacks() -> None:
    async with agent() as port:
        for path in ("/", "/healthz", "/debug/ndsz", "/quitquitquit", "/drain", "/metricsx"):
            assert (await asyncio.to_thread(port.ask, path, method="POST")).status == 404


async def test_metrics_may_be_for_this_machine_only() -> None:
    async with agent(private=True) as port:
        near = await asyncio.to_thread(port.ask, "/metrics")
        far = await asyncio.to_thread(port.ask, "/stats/prometheus", source=STRANGER)
        ready = await asyncio.to_thread(port.ask, "/healthz/ready", source=STRANGER)
    assert (near.status, far.status, ready.status) == (200, 403, 200)
    assert b"vmagent_test" not in far.body


@pytest.mark.parametrize("path", ["/quitquitquit", "/drain"])
async def test_an_end_can_be_asked_for_from_here_and_by_post(path: str) -> None:
    done: list[str] = []
    actions = Actions(quit=lambda: done.append("/quitquitquit"), drain=lambda: done.append("/drain"))
    async with agent(actions=actions) as port:
        get = await asyncio.to_thread(port.ask, path)
        far = await asyncio.to_thread(port.ask, path, method="POST", source=STRANGER)
        assert done == []
        near = await asyncio.to_thread(port.ask, path, method="POST")
    assert (get.status, get.headers["Allow"], far.status) == (405, "POST", 403)
    assert (near.status, near.text, done) == (200, "OK", [path])


async def test_what_cannot_be_done_is_said() -> None:
    def drain() -> None:
        raise Unavailable("there is no Envoy")

    async with agent(actions=Actions(drain=drain)) as port:
        answer = await asyncio.to_thread(port.ask, "/drain", method="POST")
    assert (answer.status, answer.text) == (500, "there is no Envoy")


async def test_the_name_table_can_be_seen_from_here() -> None:
    tables: list[dict[str, object]] = []
    async with agent(actions=Actions(names=lambda: tables[-1] if tables else None)) as port:
        none = await asyncio.to_thread(port.ask, "/debug/ndsz")
        tables.append({"table": {"nginx.jd.com": {"ips": ["240.240.0.1"]}}})
        some = await asyncio.to_thread(port.ask, "/debug/ndsz")
        far = await asyncio.to_thread(port.ask, "/debug/ndsz", source=STRANGER)
    assert (none.status, json.loads(none.body)) == (404, {})
    assert (some.status, json.loads(some.body), some.headers["Content-Type"]) == (
        200,
        tables[-1],
        "application/json",
    )
    assert far.status == 403


async def test_strangers_who_say_nothing_do_not_make_the_machine_look_dead() -> None:
    async with agent() as port:
        silent = [socket.create_connection(("127.0.0.1", port.number), 5, (STRANGER, 0)) for _ in range(80)]
        try:
            assert (await asyncio.to_thread(port.ask, "/healthz/ready")).status == 200
            silent[-1].settimeout(2)
            assert await asyncio.to_thread(silent[-1].recv, 1) == b"", f"only {MOST_STRANGERS} are served"
        finally:
            for each in silent:
                each.close()


def drip(port: Port, source: str) -> None:
    """Returns when the agent has closed the connection."""
    deadline = time.monotonic() + 30
    with socket.create_connection(("127.0.0.1", port.number), 5, (source, 0)) as sock:
        sock.settimeout(0.02)
        sock.sendall(b"GET /healthz/ready HTTP/1.1\r\nX: ")
        while time.monotonic() < deadline:
            try:
                sock.sendall(b"a")
                if sock.recv(1) == b"":
                    return
            except TimeoutError:
                continue
            except ConnectionError:
                return
    raise AssertionError("whoever sends a byte now and then is kept for ever")


def until_served(port: Port) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            assert port.ask("/healthz/ready").status == 200
        except (OSError, http.client.HTTPException):
            assert time.monotonic() < deadline, "a place that was left is not given to another"
            time.sleep(0.01)
        else:
            return


@pytest.mark.parametrize("source", [STRANGER, "127.0.0.1"])
async def test_a_client_that_drips_has_no_more_time_than_another(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler, "REQUEST_TIMEOUT", 1.0)
    async with agent() as port:
        began = time.monotonic()
        await asyncio.to_thread(drip, port, source)
        assert time.monotonic() - began > 0.9
        assert (await asyncio.to_thread(port.ask, "/healthz/ready", source=source)).status == 200


async def test_a_client_that_takes_its_answer_in_drips_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece in time, and the whole never: it would hold one of the few turns for a scrape."""
    monkeypatch.setattr(handler, "ANSWER_TIMEOUT", 1.0)
    large = {"table": {str(number): "x" * 1000 for number in range(40_000)}}
    async with agent(actions=Actions(names=lambda: large)) as port:
        taken, more = 0, True
        with socket.create_connection(("127.0.0.1", port.number), 30) as sock:
            sock.sendall(b"GET /debug/ndsz HTTP/1.0\r\n\r\n")
            began = time.monotonic()
            while more and taken < 20_000_000:
                await asyncio.sleep(0.01)
                with contextlib.suppress(ConnectionError):
                    more = bool(piece := await asyncio.to_thread(sock.recv, 65536))
                    taken += len(piece)
        assert not more, f"{taken} bytes in {time.monotonic() - began:.1f} s"


async def test_this_machine_has_a_bound_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "MOST_LOCAL", 8)
    async with agent() as port:
        silent = [socket.create_connection(("127.0.0.1", port.number), 5) for _ in range(9)]
        try:
            assert await asyncio.to_thread(silent[-1].recv, 1) == b""
            assert (await asyncio.to_thread(port.ask, "/healthz/ready", source=STRANGER)).status == 200
        finally:
            for each in silent:
                each.close()
        await asyncio.to_thread(until_served, port)


async def test_both_families_are_answered() -> None:
    async with agent() as port:
        for host in ("127.0.0.1", "::1") if socket.has_dualstack_ipv6() else ("127.0.0.1",):
            reader, writer = await asyncio.open_connection(host, port.number)
            writer.write(b"GET /healthz/ready HTTP/1.0\r\n\r\n")
            assert (await reader.readline()).endswith(b" 200 OK\r\n")
            writer.close()


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("", 0)) as other:
        number = other.getsockname()[1]
        with pytest.raises(Misconfigured, match=rf"port {number} \(defaultConfig.statusPort\): pid"):
            Endpoint(number, Service(waiting=dict))
