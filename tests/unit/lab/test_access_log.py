from envoy.config.core.v3.base_pb2 import Node
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.filters.network.mongo_proxy.v3.mongo_proxy_pb2 import MongoProxy
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from google.protobuf.message import Message

from lab.controlplane import type_urls
from lab.controlplane.mesh import Mesh
from lab.controlplane.proxy import Proxy
from lab.controlplane.registry import World
from lab.controlplane.snapshot import build
from lab.controlplane.snapshot.access_log import with_access_log
from lab.controlplane.snapshot.packing import pack


def chain(*filters: Message) -> FilterChain:
    return FilterChain(filters=[Filter(typed_config=pack(each)) for each in filters])


def test_whoever_serves_a_chain_writes_a_line_with_flags() -> None:
    listener = Listener(
        filter_chains=[chain(HttpConnectionManager()), chain(MongoProxy(), TcpProxy())],
        default_filter_chain=chain(TcpProxy()),
    )
    made = with_access_log(listener, "/dev/stdout")
    http = HttpConnectionManager.FromString(made.filter_chains[0].filters[0].typed_config.value)
    assert made.filter_chains[1].filters[0].typed_config == pack(MongoProxy())
    last = made.filter_chains[1].filters[1], made.default_filter_chain.filters[0]
    tcp = [TcpProxy.FromString(each.typed_config.value) for each in last]
    for served in (http, *tcp):
        (log,) = served.access_log
        config = FileAccessLog.FromString(log.typed_config.value)
        assert config.path == "/dev/stdout"
        assert "%RESPONSE_CODE% %RESPONSE_FLAGS%" in config.log_format.text_format_source.inline_string


def test_nobody_does_unless_the_mesh_says_so() -> None:
    proxy = Proxy.parse(Node(id="sidecar~10.0.0.1~a.shop~shop.svc.cluster.local"))
    silent = build(World(), proxy, Mesh()).of(type_urls.LISTENER)
    told = build(World(), proxy, Mesh().with_settings({"accessLogFile": "/tmp/log"})).of(type_urls.LISTENER)
    assert b"access_loggers" not in b"".join(each.value for each in silent.values())
    for name in ("virtualOutbound", "virtualInbound"):
        assert b"/tmp/log" in told[name].value
