"""Envoy's own messages (from its published protos, not ours) over a real socket."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import grpc.aio
import pytest
from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.rpc import status_pb2

from tests.authority import Authority
from tests.flow.xds.machine import until
from vmagent.identity.certwatch import CertWatch
from vmagent.identity.credential import Credential
from vmagent.identity.spiffe import SpiffeId
from vmagent.runtime.clock import SystemClock
from vmagent.runtime.latest import Latest
from vmagent.runtime.lifecycle import Tasks
from vmagent.sds.files import FileSecrets
from vmagent.sds.server import SERVICE, SdsServer

HELD = Credential(
    spiffe=SpiffeId(trust_domain="cluster.local", namespace="istio-demo", service_account="vm"),
    key_pem=b"key",
    chain_pem=b"chain",
    root_pem=b"root",
    not_before=0.0,
    not_after=1.0,
)
NODE = base_pb2.Node(id="sidecar~192.168.0.204~vm204.istio-demo~istio-demo.svc.cluster.local")


class Envoy:
    """One SDS stream, as Envoy opens one for each secret."""

    def __init__(self, channel: grpc.aio.Channel, method: str = "StreamSecrets") -> None:
        self._requests: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._call = channel.stream_stream(f"/{SERVICE}/{method}", bytes, bytes)(self._outgoing())
        self._last = discovery_pb2.DiscoveryResponse()
        self._names: tuple[str, ...] = ()

    async def _outgoing(self) -> AsyncIterator[bytes]:
        while (data := await self._requests.get()) is not None:
            yield data

    def ask(self, *names: str, node: base_pb2.Node | None = NODE) -> None:
        self._names = names
        self.say(discovery_pb2.DiscoveryRequest(node=node, resource_names=names).SerializeToString())

    def acknowledge(self, *names: str) -> None:
        self.say(
            discovery_pb2.DiscoveryRequest(
                version_info=self._last.version_info, resource_names=names, response_nonce=self._last.nonce
            ).SerializeToString()
        )

    def say(self, data: bytes) -> None:
        self._requests.put_nowait(data)

    async def hear(self) -> list[secret_pb2.Secret]:
        data = await self._call.read()
        assert isinstance(data, bytes)
        got = discovery_pb2.DiscoveryResponse.FromString(data)
        assert got.nonce != self._last.nonce
        assert got.version_info != self._last.version_info
        self._last = got
        assert {one.type_url for one in got.resources} == {got.type_url}
        return [secret_pb2.Secret.FromString(one.value) for one in got.resources]

    async def denied(self) -> str:
        """The sentence that stands in place of a secret; it is rejected, as Envoy rejects it."""
        data = await self._call.read()
        assert isinstance(data, bytes)
        got = discovery_pb2.DiscoveryResponse.FromString(data)
        [only] = got.resources
        status = status_pb2.Status()
        assert only.Unpack(status)
        self.say(
            discovery_pb2.DiscoveryRequest(
                response_nonce=got.nonce, resource_names=self._names, error_detail={"message": "no secret"}
            ).SerializeToString()
        )
        return str(status.message)

    async def turned_away(self) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.aio.AioRpcError):
            await self._call.read()
        return await self._call.code(), await self._call.details()

    async def leave(self) -> grpc.StatusCode:
        self._requests.put_nowait(None)
        return await self._call.code()

    def vanish(self) -> None:
        self._call.cancel()


@pytest.fixture
def credentials() -> Latest[Credential]:
    return Latest()


@dataclass
class Served:
    channel: grpc.aio.Channel
    secrets: FileSecrets


@pytest.fixture
async def served(credentials: Latest[Credential], tmp_path: Path) -> AsyncIterator[Served]:
    server = grpc.aio.server()
    clock = SystemClock()
    watch = CertWatch(clock=clock)
    secrets = FileSecrets(watch, base=tmp_path)
    server.add_generic_rpc_handlers((SdsServer(credentials, secrets, clock=clock).handler(),))
    server.add_insecure_port(f"unix:{tmp_path}/socket")
    await server.start()
    async with Tasks() as tasks:
        watching = tasks.start("files", watch.run())
        async with grpc.aio.insecure_channel(f"unix:{tmp_path}/socket") as channel:
            yield Served(channel, secrets)
        await server.stop(None)
        watching.cancel()


@pytest.fixture
def channel(served: Served) -> grpc.aio.Channel:
    return served.channel


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


# --- from files ---------------------------------------------------------------------------------------------


@pytest.fixture
def authority() -> Authority:
    return Authority()


def put(folder: Path, authority: Authority) -> tuple[bytes, bytes]:
    """A new pair. Returns chain and key."""
    key, chain = authority.server()
    (folder / "chain.pem").write_bytes(chain)
    (folder / "key.pem").write_bytes(key)
    return chain, key


async def test_a_pair_and_a_root_in_files_are_served_and_each_change_of_them(
    channel: grpc.aio.Channel, tmp_path: Path, authority: Authority
) -> None:
    """Without a credential of our own: DestinationRules do not wait for that."""
    chain, key = put(tmp_path, authority)
    (tmp_path / "root.pem").write_bytes(authority.root_pem)
    pair, root = f"file-cert:{tmp_path}/chain.pem~{tmp_path}/key.pem", f"file-root:{tmp_path}/root.pem"
    certificate, trust = Envoy(channel), Envoy(channel)
    certificate.ask(pair)
    trust.ask(root)
    [found], [roots] = await certificate.hear(), await trust.hear()
    assert (found.name, roots.name) == (pair, root)
    assert found.tls_certificate.certificate_chain.inline_bytes == chain
    assert found.tls_certificate.private_key.inline_bytes == key
    assert roots.validation_context.trusted_ca.inline_bytes == authority.root_pem
    certificate.acknowledge(pair)
    trust.acknowledge(root)

    chain, key = put(tmp_path, authority)
    [found] = await certificate.hear()
    assert found.tls_certificate.certificate_chain.inline_bytes == chain
    assert found.tls_certificate.private_key.inline_bytes == key
    other = Authority("other").root_pem
    (tmp_path / "root.pem").write_bytes(other)
    [roots] = await trust.hear()
    assert roots.validation_context.trusted_ca.inline_bytes == other


async def test_a_pair_that_is_missing_is_denied_by_name_and_served_when_it_is_there(
    served: Served, credentials: Latest[Credential], tmp_path: Path, authority: Authority
) -> None:
    credentials.publish(HELD)
    pair = "file-cert:chain.pem~key.pem"
    mine, ours = Envoy(served.channel), Envoy(served.channel)
    mine.ask(pair)
    why = f"{tmp_path}/chain.pem does not exist; put it there, or correct its name"
    assert await mine.denied() == why
    assert served.secrets.trouble == why
    ours.ask("default")
    assert [secret.name for secret in await ours.hear()] == ["default"]
    chain, _ = put(tmp_path, authority)
    [found] = await mine.hear()
    assert found.tls_certificate.certificate_chain.inline_bytes == chain
    assert served.secrets.trouble == ""
    assert served.secrets.summary.startswith("1 from files, the first certificate expires at 20")
    assert [*served.secrets.expiries] == [pair]


async def test_what_a_file_holds_is_served_only_if_it_is_a_certificate(
    served: Served, tmp_path: Path
) -> None:
    """Whoever writes configuration names the file; that does not let him read it."""
    (tmp_path / "shadow").write_text("root:hunter2:19000\n")
    nosy = Envoy(served.channel)
    nosy.ask("file-root:shadow")
    why = await nosy.denied()
    assert "shadow holds no certificate, or damaged ones only" in why
    assert "hunter2" not in why + served.secrets.trouble


async def test_a_file_that_nobody_asks_for_any_more_is_not_looked_after(
    served: Served, tmp_path: Path, authority: Authority
) -> None:
    put(tmp_path, authority)
    envoy = Envoy(served.channel)
    envoy.ask("file-cert:chain.pem~key.pem")
    await envoy.hear()
    assert served.secrets.expiries
    await envoy.leave()
    await until(lambda: not served.secrets.expiries)


async def test_a_name_that_was_dropped_and_wanted_again_is_served_afresh(
    served: Served, credentials: Latest[Credential], tmp_path: Path, authority: Authority
) -> None:
    credentials.publish(HELD)
    pair = "file-cert:chain.pem~key.pem"
    put(tmp_path, authority)
    envoy = Envoy(served.channel)
    envoy.ask("default", pair)
    assert [secret.name for secret in await envoy.hear()] == ["default"]
    assert [secret.name for secret in await envoy.hear()] == [pair]
    envoy.acknowledge("default")
    await until(lambda: not served.secrets.expiries)
    chain, _ = put(tmp_path, authority)
    envoy.acknowledge("default", pair)
    [found] = await envoy.hear()
    assert found.tls_certificate.certificate_chain.inline_bytes == chain


async def test_trouble_of_many_files_is_told_in_one_line_of_bounded_length(served: Served) -> None:
    envoys = [Envoy(served.channel) for _ in range(7)]
    for number, envoy in enumerate(envoys):
        envoy.ask(f"file-root:{number}.pem")
        await envoy.denied()
    assert served.secrets.trouble.count("does not exist") == 5
    assert served.secrets.trouble.endswith("; and 2 more")
    assert served.secrets.summary == ""


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
