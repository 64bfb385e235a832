"""``grpc`` against a real server with gRPC's health service, and the sentences that an operator reads."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest

from tests.flow.health.application import probe
from vmagent._pb import wire_pb2 as wire
from vmagent.health.checks import Checks
from vmagent.health.config import Grpc

check = Checks().check


@contextlib.asynccontextmanager
async def health_server(answer: int | grpc.StatusCode | None, *, port: int = 0) -> AsyncIterator[int]:
    """A status, an error, or (None) a server without the service. Hangs for -1."""

    async def respond(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        assert wire.HealthCheckRequest.FromString(request).service == "shop"
        metadata = dict(context.invocation_metadata() or ())
        assert str(metadata["user-agent"]).startswith("istio-probe/1.0")
        if isinstance(answer, grpc.StatusCode):
            await context.abort(answer, "some\nwords")
        if answer == -1:
            await asyncio.sleep(60)
        return wire.HealthCheckResponse(status=answer).SerializeToString()  # type: ignore[arg-type]  # any number

    server = grpc.aio.server()
    if answer is not None:
        handler = grpc.unary_unary_rpc_method_handler(respond)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),)
        )
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (wire.HealthCheckResponse.SERVING, None),
        (wire.HealthCheckResponse.NOT_SERVING, "NOT_SERVING"),
        (wire.HealthCheckResponse.UNKNOWN, "UNKNOWN"),
        (17, "status 17"),
        (None, "the server does not implement grpc.health.v1.Health"),
        (grpc.StatusCode.NOT_FOUND, "the server does not know this service"),
        (grpc.StatusCode.INTERNAL, "INTERNAL: some words"),
        (-1, "no answer within 0.5 s"),
    ],
)
async def test_a_grpc_probe_wants_to_hear_serving(
    answer: int | grpc.StatusCode | None, sentence: str | None
) -> None:
    async with health_server(answer) as port:
        said = await check(probe(Grpc(port=port, service="shop"), timeout=0.5))
        if sentence is None:
            assert said is None
        else:
            assert said == f"grpc health of shop at 127.0.0.1:{port}: {sentence}"


async def test_a_grpc_probe_that_found_nobody_does_not_spoil_the_next_one() -> None:
    """gRPC pauses between attempts to connect; each probe must be an attempt."""
    async with health_server(wire.HealthCheckResponse.SERVING) as port:
        pass
    method = Grpc(port=port, service="shop")
    said = await check(probe(method))
    assert said is not None
    assert said.startswith(f"grpc health of shop at 127.0.0.1:{port}: cannot connect: ")
    assert "refused" in said
    async with health_server(wire.HealthCheckResponse.SERVING, port=port):
        assert await check(probe(method, timeout=0.5)) is None
