"""Envoy's own messages (from its published protos, not ours) over a real socket."""

import logging
from dataclasses import replace

import grpc
import grpc.aio
import pytest

from tests.flow.sds.conftest import HELD, Served
from tests.flow.sds.envoy import Envoy
from tests.flow.xds.machine import until
from vmagent.identity.credential import Credential
from vmagent.runtime.latest import Latest


async def test_envoy_gets_key_and_root_and_each_change_of_them(
    channel: grpc.aio.Channel, credentials: Latest[Credential], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    default, root = Envoy(channel), Envoy(channel)
    default.ask("default")
    root.ask("ROOTCA")
    credentials.publish(HELD)
    [certificate], [trust] = await default.hear(), await root.hear()
    assert certificate.tls_certificate.private_key.inline_bytes == b"key"
    assert certificate.tls_certificate.certificate_chain.inline_bytes == b"chain"
    assert trust.validation_context.trusted_ca.inline_bytes == b"root"
    default.acknowledge("default")
    root.acknowledge("ROOTCA")

    credentials.publish(replace(HELD, key_pem=b"k2", chain_pem=b"c2"))
    [certificate] = await default.hear()
    assert certificate.tls_certificate.private_key.inline_bytes == b"k2"
    credentials.publish(replace(HELD, key_pem=b"k2", chain_pem=b"c2", root_pem=b"r2"))
    [trust] = await root.hear()
    assert trust.validation_context.trusted_ca.inline_bytes == b"r2"

    def pushes() -> list[str]:
        return sorted(r.getMessage() for r in caplog.records if r.name == "sds")

    await until(lambda: len(pushes()) == 4)  # it is logged when it has been written
    assert pushes() == ["SDS: PUSH\tresource=ROOTCA"] * 2 + ["SDS: PUSH\tresource=default"] * 2
    assert await default.leave() is grpc.StatusCode.OK


async def test_a_stream_that_comes_later_is_answered_from_what_there_is(
    channel: grpc.aio.Channel, credentials: Latest[Credential]
) -> None:
    credentials.publish(HELD)
    late = Envoy(channel)
    late.ask("default")
    [secret] = await late.hear()
    assert secret.name == "default"


async def test_an_envoy_that_vanishes_does_not_disturb_the_others(
    channel: grpc.aio.Channel, credentials: Latest[Credential]
) -> None:
    gone, stays = Envoy(channel), Envoy(channel)
    gone.ask("default")
    stays.ask("default")
    gone.vanish()
    credentials.publish(HELD)
    assert [secret.name for secret in await stays.hear()] == ["default"]


@pytest.mark.parametrize("name", ["somebody-elses", "kubernetes://web-credential", "file-cert:/c.pem"])
async def test_a_name_that_is_none_of_ours_never_yields_a_key_and_disturbs_nobody(
    served: Served, credentials: Latest[Credential], name: str
) -> None:
    credentials.publish(HELD)
    curious = Envoy(served.channel)
    curious.ask(name, "default")
    [secret] = await curious.hear()
    assert secret.name == "default"
    assert f"no secret named {name!r}: " in await curious.denied()
    assert f"no secret named {name!r}: " in served.secrets.trouble
    await curious.leave()
    await until(lambda: not served.secrets.trouble)


async def test_the_same_wrong_name_is_logged_once_however_many_ask(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = Envoy(served.channel), Envoy(served.channel)
    for envoy in (first, second):
        envoy.ask("kubernetes://x")
        await envoy.denied()
    assert len([r for r in caplog.records if "no secret named 'kubernetes://x'" in r.message]) == 1


async def test_who_does_not_say_its_node_is_refused(channel: grpc.aio.Channel) -> None:
    stranger = Envoy(channel)
    stranger.ask("default", node=None)
    assert await stranger.turned_away() == (grpc.StatusCode.INVALID_ARGUMENT, "missing node information")


async def test_garbage_is_refused(channel: grpc.aio.Channel) -> None:
    stranger = Envoy(channel)
    stranger.say(b"\xff\xff")
    code, _ = await stranger.turned_away()
    assert code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("method", ["DeltaSecrets", "FetchSecrets"])
async def test_the_other_methods_are_not_implemented(channel: grpc.aio.Channel, method: str) -> None:
    other = Envoy(channel, method)
    code, _ = await other.turned_away()
    assert code is grpc.StatusCode.UNIMPLEMENTED
