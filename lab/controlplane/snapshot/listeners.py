"""The listeners of a proxy, by what it is."""

from collections.abc import Iterator

from envoy.config.listener.v3.listener_pb2 import Listener

from lab.controlplane.snapshot.gateway_listeners import gateway_listeners
from lab.controlplane.snapshot.inbound import inbound_listener
from lab.controlplane.snapshot.outbound import outbound_listeners
from lab.controlplane.snapshot.view import View


def listeners(view: View) -> Iterator[Listener]:
    if view.router:
        yield from gateway_listeners(view)
        return
    yield from outbound_listeners(view)
    yield inbound_listener(view)
