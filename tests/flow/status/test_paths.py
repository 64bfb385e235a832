"""Who may ask what of the agent's port."""

import asyncio
import json
import socket

import pytest

from tests.flow.status.world import agent
from vmagent.errors import Misconfigured, Unavailable
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
