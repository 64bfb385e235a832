"""What a control plane that starts finds, and what it leaves behind."""

import socket
from dataclasses import replace

import pytest

from lab.controlplane import type_urls
from lab.controlplane._pb import nds_pb2
from lab.controlplane.kinds.document import BadDocument
from lab.controlplane.kinds.service_entry import ServiceEntry
from lab.controlplane.server import ControlPlane, running
from lab.controlplane.settings import Endpoint, Settings
from tests.flow.lab.client import certificate, new_csr, stream
from tests.flow.lab.conftest import STORY
from tests.flow.lab.test_streams import SECOND_SERVICE


async def addresses(lab: ControlPlane) -> dict[str, str]:
    async with stream(lab) as mine:
        response = await mine.get(type_urls.NAME_TABLE)
    table = nds_pb2.NameTable.FromString(response.resources[0].value)
    return {host: info.ips[0] for host, info in table.table.items()}


async def test_an_address_that_was_handed_out_stays_over_a_restart(settings: Settings) -> None:
    async with running(settings) as lab:
        lab.apply(SECOND_SERVICE)
        assert await addresses(lab) == {"nginx.jd.com": "240.240.0.1", "second.jd.com": "240.240.0.2"}
        lab.delete("ServiceEntry", "istio-demo", "nginx")
    async with running(settings) as lab:
        assert await addresses(lab) == {"second.jd.com": "240.240.0.2"}


async def test_tokens_and_root_outlive_the_process(settings: Settings) -> None:
    async with running(settings) as lab:
        token, root = lab.issue_token("istio-demo", "vm"), lab.root_pem
    async with running(settings) as lab:
        assert lab.root_pem == root
        assert await certificate(lab, new_csr()[1], token=token)


async def test_keys_are_readable_by_their_owner_alone(settings: Settings) -> None:
    async with running(settings):
        modes = {path.name: path.stat().st_mode & 0o777 for path in settings.state.glob("*key*")}
    assert modes == {"ca-key.pem": 0o600, "serving-key.pem": 0o600, "token-key.pem": 0o600}
    assert settings.state.stat().st_mode & 0o777 == 0o700


async def test_a_port_that_is_taken_is_an_error_that_leaves_nothing_open(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = ControlPlane(replace(settings, api=Endpoint("127.0.0.1", taken.getsockname()[1])))
        with pytest.raises(OSError, match="address already in use"):
            await busy.start()
    await busy.start()
    await busy.stop()


async def test_a_broken_file_at_the_start_is_passed_over_and_one_that_repeats_another_too(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    (settings.resources / "broken.yaml").write_text("kind: [")
    (settings.resources / "zz.yaml").write_text(STORY + "\n---\n" + SECOND_SERVICE)
    async with running(settings) as lab:
        assert lab.world.get(ServiceEntry, "istio-demo", "second") is not None
        assert len(lab.world.all(ServiceEntry)) == 2
    assert "it is ignored" in caplog.text
    assert "is already in another file; ignored here" in caplog.text


async def test_what_cannot_be_served_is_not_applied_at_all(settings: Settings) -> None:
    async with running(settings) as lab:
        before = sorted(settings.resources.iterdir())
        with pytest.raises(BadDocument, match="document 2"):
            lab.apply(SECOND_SERVICE + "\n---\n{apiVersion: v1, kind: ConfigMap}")
        assert sorted(settings.resources.iterdir()) == before
