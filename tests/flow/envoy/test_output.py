"""A real Envoy logs where the agent's log is, also when that is the journal."""

import asyncio
import json
import logging
import os
import signal
import socket
from pathlib import Path
from typing import Any

from tests.flow.envoy.parts import Printed, control_plane, real, supervised, until
from tests.flow.xds.machine import until as eventually
from tests.ports import free_ports
from vmagent.envoy.config import EnvoyConfig
from vmagent.envoy.states import State

_EXTENSIONS = "type.googleapis.com/envoy.extensions"


def serving(root: Path, port: int, access_log: Path) -> EnvoyConfig:
    """Answers 200 on ``port`` and writes each request to ``access_log``."""
    manager: dict[str, Any] = {
        "@type": f"{_EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "access_log": [
            {
                "name": "file",
                "typed_config": {
                    "@type": f"{_EXTENSIONS}.access_loggers.file.v3.FileAccessLog",
                    "path": str(access_log),
                    "log_format": {"text_format_source": {"inline_string": "seen %REQ(:PATH)%\n"}},
                },
            }
        ],
        "http_filters": [
            {"name": "router", "typed_config": {"@type": f"{_EXTENSIONS}.filters.http.router.v3.Router"}}
        ],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}],
                }
            ]
        },
    }
    listener = {
        "name": "test",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    override = root / "override.json"
    override.write_text(json.dumps({"static_resources": {"listeners": [listener]}}))
    return real(root, bootstrap_override=override)


async def ask(port: int, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert b" 200 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_an_access_log_at_standard_output_is_written_although_that_of_the_agent_is_a_socket(
    tmp_path: Path,
) -> None:
    """As it is under systemd, where Envoy could not open /dev/stdout and refused the listener."""
    (port,) = free_ports(1)
    config, printed = serving(tmp_path, port, Path("/dev/stdout")), Printed()
    journal, ours = socket.socketpair()
    kept = os.dup(1)
    os.dup2(ours.fileno(), 1)
    try:
        async with control_plane(config.xds_socket), supervised(config, printed) as supervisor:
            await until(supervisor, State.READY)
            await ask(port, "/hello")
            await eventually(lambda: "seen /hello" in printed.text)
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        journal.close()
        ours.close()
    assert (logging.INFO, "seen /hello") in printed.groups


async def test_a_file_that_envoy_writes_is_opened_again_and_nothing_is_drained(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    log = tmp_path / "access.log"
    config = serving(tmp_path, port, log)
    async with control_plane(config.xds_socket), supervised(config) as supervisor:
        ready = await until(supervisor, State.READY)
        _, open_writer = await asyncio.open_connection("127.0.0.1", port)
        await ask(port, "/before")
        await eventually(lambda: "seen /before" in log.read_text())
        log.rename(tmp_path / "access.log.1")
        supervisor.reopen_logs()
        await ask(port, "/after")
        await eventually(lambda: log.exists() and "seen /after" in log.read_text())
        assert supervisor.state.value == ready
        open_writer.close()


async def test_the_words_of_an_envoy_that_dies_have_its_level(tmp_path: Path) -> None:
    config, printed = real(tmp_path), Printed()
    async with control_plane(config.xds_socket), supervised(config, printed) as supervisor:
        ready = await until(supervisor, State.READY)
        os.kill(ready.pid, signal.SIGABRT)
        await until(supervisor, State.READY, other_than=ready.pid)
        await eventually(lambda: "Caught Aborted" in printed.text)
    levels = {level for level, text in printed.groups if "Caught Aborted" in text}
    assert levels == {logging.CRITICAL}
