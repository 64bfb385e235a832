"""A line for each request and connection, where the mesh's configuration asks for it (``accessLogFile``).

Surprise:  the line begins as Istio's does, up to the response flags and Envoy's words for them, and then has
           whom was asked; formats of one's own (``accessLogFormat``) are not served.
"""

from typing import Final

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog
from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

from lab.controlplane.snapshot.packing import pack

LINE: Final = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS%'
    " %RESPONSE_CODE_DETAILS% %UPSTREAM_TRANSPORT_FAILURE_REASON%"
    ' authority="%REQ(:AUTHORITY)%" sni="%REQUESTED_SERVER_NAME%"'
    " cluster=%UPSTREAM_CLUSTER% upstream=%UPSTREAM_HOST%\n"
)


def with_access_log(listener: Listener, path: str) -> Listener:
    for chain in listener.filter_chains:
        _extend(chain, path)
    if listener.HasField("default_filter_chain"):
        _extend(listener.default_filter_chain, path)
    return listener


def _extend(chain: FilterChain, path: str) -> None:
    """The last filter of a chain is what serves: HTTP, or bytes."""
    last = chain.filters[-1]
    for kind in (HttpConnectionManager, TcpProxy):
        if last.typed_config.Is(kind.DESCRIPTOR):
            served = kind.FromString(last.typed_config.value)
            served.access_log.append(_file(path))
            last.typed_config.CopyFrom(pack(served))


def _file(path: str) -> AccessLog:
    config = FileAccessLog(path=path)
    config.log_format.text_format_source.inline_string = LINE
    return AccessLog(name="envoy.access_loggers.file", typed_config=pack(config))
