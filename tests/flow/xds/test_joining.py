"""Getting in: what the control plane accepts, what it refuses, and what an operator is told."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from lab.controlplane.kinds.workload import WorkloadEntry
from lab.controlplane.server import ControlPlane, running
from tests.authority import Authority
from tests.flow.envoy.parts import SERVICE
from tests.flow.lab.client import NODE, certificate, new_csr, private_pem
from tests.flow.xds.machine import Machine, machine, until
from tests.ports import free_ports
from vmagent.identity.credential import KeyPair
from vmagent.identity.trust import Roots

ENTRY = "nginx-192.168.0.204"
PROBED = NODE | {"PROXY_CONFIG": {"readinessProbe": {"httpGet": {"port": 80}}}}


async def pair(control_plane: ControlPlane) -> KeyPair:
    key, csr = new_csr()
    chain = await certificate(control_plane, csr, token=control_plane.issue_token("istio-demo", "vm"))
    return KeyPair(key_pem=private_pem(key), chain_pem="".join(chain).encode())


async def joined(mine: Machine, *, within: float = 5.0) -> None:
    async with asyncio.timeout(within):
        await mine.hub.complete.first()


async def test_a_certificate_opens_the_stream_without_a_token(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    mine = machine(control_plane, tmp_path, token="", pair=await pair(control_plane))
    async with mine.running():
        await joined(mine)
        assert control_plane.connections[0].caller.by == "certificate"


async def test_a_certificate_that_the_control_plane_does_not_know_leaves_the_token_to_speak(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    stranger = Authority()
    key, csr = new_csr(san="spiffe://cluster.local/ns/istio-demo/sa/vm")
    foreign = KeyPair(
        key_pem=private_pem(key),
        chain_pem="".join(stranger.sign(csr, "spiffe://cluster.local/ns/istio-demo/sa/vm")).encode(),
    )
    mine = machine(control_plane, tmp_path, pair=foreign)
    async with mine.running():
        await joined(mine, within=2.0)
        assert control_plane.connections[0].caller.by == "token"
        assert mine.attempts == 2


async def test_a_control_plane_that_was_away_is_met_with_the_certificate_again(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    mine = machine(control_plane, tmp_path, token="", pair=await pair(control_plane))
    await control_plane.stop()
    async with mine.running():
        await until(lambda: mine.attempts >= 3)
        await control_plane.start()
        await joined(mine)
        assert control_plane.connections[0].caller.by == "certificate"


async def test_a_refused_token_is_told_with_what_is_known_against_it_and_a_new_one_joins_at_once(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    expired = control_plane.issue_token("istio-demo", "vm", age=7200)
    mine = machine(control_plane, tmp_path, token=expired, doubt="the token expired an hour ago")
    async with mine.running():
        await until(lambda: mine.last)
        peer = f"control plane 127.0.0.1:{mine.port}"
        why = "UNAUTHENTICATED: authentication failure (the token expired an hour ago)"
        assert mine.last == f"{peer} refused us: {why}"
        mine.token = control_plane.issue_token("istio-demo", "vm")
        began = time.monotonic()
        mine.upstream.retry_now()
        await joined(mine, within=2.0)
        assert time.monotonic() - began < 2.0
        assert mine.last == ""


async def test_a_token_that_is_repaired_during_an_attempt_is_used_right_after_it(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    mine = machine(control_plane, tmp_path, token="rubbish")
    authenticate = mine.upstream._authenticate

    def repaired_too_late() -> Any:
        shown = authenticate()
        mine.token = control_plane.issue_token("istio-demo", "vm")
        mine.upstream.retry_now()
        return shown

    mine.upstream._authenticate = repaired_too_late
    async with mine.running():
        await joined(mine, within=2.0)


async def test_a_wrong_root_is_told_with_the_file_and_the_issuer(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    wrong = Roots(pem=Authority().root_pem, path=Path("/etc/certs/root-cert.pem"))
    async with machine(control_plane, tmp_path, roots=wrong).running() as mine:
        await until(lambda: mine.last)
        assert mine.last.startswith("/etc/certs/root-cert.pem does not match control plane 127.0.0.1:")
        assert "the server's certificate was signed by" in mine.last
        assert "take the root again" in mine.last
        mine.roots = Roots(pem=control_plane.root_pem, path=wrong.path)
        mine.upstream.retry_now()
        await joined(mine, within=2.0)


async def test_a_wrong_server_name_is_told_with_the_names_that_would_do(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    async with machine(control_plane, tmp_path, server_name="istiod.wrong.svc").running() as mine:
        await until(lambda: mine.last)
        assert "presents a certificate for " in mine.last
        assert "istiod.istio-system.svc" in mine.last
        assert "its server name should be istiod.wrong.svc" in mine.last
        assert "ISTIOD_SAN" in mine.last


async def test_nobody_listening_is_told_as_such(control_plane: ControlPlane, tmp_path: Path) -> None:
    [nobody] = free_ports(1)
    async with machine(control_plane, tmp_path, port=nobody).running() as mine:
        await until(lambda: mine.last)
        assert f"control plane 127.0.0.1:{nobody}: connection refused" in mine.last


async def test_an_identity_that_may_not_speak_for_the_namespace_is_told_in_the_control_planes_words(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    elsewhere = machine(control_plane, tmp_path, metadata=NODE | {"NAMESPACE": "default"})
    async with elsewhere.running():
        await until(lambda: elsewhere.last)
        assert "refused us: PERMISSION_DENIED: authorization failed: " in elsewhere.last


@pytest.mark.parametrize("number", range(5))
async def test_a_refusal_is_never_mistaken_for_an_accident(
    control_plane: ControlPlane, tmp_path: Path, number: int
) -> None:
    """gRPC for Python hides the status from whoever is writing when it arrives."""
    async with machine(control_plane, tmp_path, token="rubbish").running() as mine:
        await until(lambda: any("refused us: UNAUTHENTICATED" in why for why in mine.said), within=2.0)
        assert mine.attempts <= 2


async def test_a_control_plane_that_is_not_ready_yet_is_tried_again(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    control_plane.faults.refuse_streams = True
    async with machine(control_plane, tmp_path).running() as mine:
        await until(lambda: mine.attempts >= 2)
        control_plane.faults.refuse_streams = False
        await joined(mine)


async def test_a_machine_is_registered_once_and_its_health_is_told_again_to_a_new_control_plane(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    def condition(lab: ControlPlane) -> str:
        entry = lab.world.get(WorkloadEntry, "istio-demo", ENTRY)
        return str(entry.conditions) if entry else ""

    mine = machine(control_plane, tmp_path, metadata=PROBED)
    async with mine.running():
        mine.hub.report_health("connection refused")
        await joined(mine)
        await control_plane.until(lambda lab: "connection refused" in condition(lab))
        settings = replace(control_plane.settings, listen=control_plane.listening)
        await control_plane.stop()
        mine.hub.report_health("")
        async with running(settings) as rolled_out:
            await rolled_out.until(lambda lab: "status='True'" in condition(lab))
            assert [each.metadata.name for each in rolled_out.world.all(WorkloadEntry)] == [ENTRY]
        await control_plane.start()


@pytest.fixture
async def rude(tmp_path: Path) -> AsyncIterator[tuple[int, dict[str, Any]]]:
    """A control plane without manners; ``say`` is what it does with a stream."""
    manners: dict[str, Any] = {}

    async def stream(requests: AsyncIterator[bytes], context: Any) -> None:
        await manners["say"](requests, context)

    method = {"StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(stream)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, method),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port, manners
    await server.stop(None)


async def garbage(requests: AsyncIterator[bytes], context: Any) -> None:
    await anext(requests)
    await context.write(b"\xff\xff\xff")
    async for _ in requests:
        pass


async def no_nonce(requests: AsyncIterator[bytes], context: Any) -> None:
    await anext(requests)
    await context.write(b"\x22\x01x")
    async for _ in requests:
        pass


async def hang_up(requests: AsyncIterator[bytes], context: Any) -> None:
    await anext(requests)


async def cancel(requests: AsyncIterator[bytes], context: Any) -> None:
    await anext(requests)
    await context.abort(grpc.StatusCode.CANCELLED, "go away")


@pytest.mark.parametrize(
    ("say", "why"),
    [
        (garbage, "cannot be understood: "),
        (no_nonce, "without a nonce"),
        (hang_up, "closed the stream"),
        (cancel, "ended the stream: CANCELLED: go away"),
    ],
    ids=["garbage", "no nonce", "hangs up", "cancels"],
)
async def test_a_control_plane_without_manners_is_tried_again_and_again(
    control_plane: ControlPlane, tmp_path: Path, rude: tuple[int, dict[str, Any]], say: Any, why: str
) -> None:
    port, manners = rude
    manners["say"] = say
    async with machine(control_plane, tmp_path, port=port, tls=False).running() as mine:
        await until(lambda: mine.attempts >= 3)
        assert any(why in said for said in mine.said)


async def test_a_stream_that_ends_while_we_write_is_no_crash(
    control_plane: ControlPlane, tmp_path: Path, rude: tuple[int, dict[str, Any]]
) -> None:
    async def leave_at_once(requests: AsyncIterator[bytes], context: Any) -> None:
        return None

    port, manners = rude
    manners["say"] = leave_at_once
    async with machine(control_plane, tmp_path, port=port, tls=False).running() as mine:
        for round_ in range(200):
            mine.hub.report_health(f"{round_}")
            mine.upstream.retry_now()
            await asyncio.sleep(0.002)
        assert mine.attempts > 10
