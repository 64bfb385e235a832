from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Any(_message.Message):
    __slots__ = ("type_url", "value")
    TYPE_URL_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    type_url: str
    value: bytes
    def __init__(self, type_url: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...

class Status(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class Locality(_message.Message):
    __slots__ = ("region", "zone", "sub_zone")
    REGION_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    SUB_ZONE_FIELD_NUMBER: _ClassVar[int]
    region: str
    zone: str
    sub_zone: str
    def __init__(self, region: _Optional[str] = ..., zone: _Optional[str] = ..., sub_zone: _Optional[str] = ...) -> None: ...

class Extension(_message.Message):
    __slots__ = ("name", "category", "type_urls")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    TYPE_URLS_FIELD_NUMBER: _ClassVar[int]
    name: str
    category: str
    type_urls: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., category: _Optional[str] = ..., type_urls: _Optional[_Iterable[str]] = ...) -> None: ...

class Node(_message.Message):
    __slots__ = ("id", "cluster", "metadata", "locality", "user_agent_name", "extensions")
    ID_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    LOCALITY_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_NAME_FIELD_NUMBER: _ClassVar[int]
    EXTENSIONS_FIELD_NUMBER: _ClassVar[int]
    id: str
    cluster: str
    metadata: _struct_pb2.Struct
    locality: Locality
    user_agent_name: str
    extensions: _containers.RepeatedCompositeFieldContainer[Extension]
    def __init__(self, id: _Optional[str] = ..., cluster: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., locality: _Optional[_Union[Locality, _Mapping]] = ..., user_agent_name: _Optional[str] = ..., extensions: _Optional[_Iterable[_Union[Extension, _Mapping]]] = ...) -> None: ...

class DataSource(_message.Message):
    __slots__ = ("filename", "inline_bytes", "inline_string")
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    INLINE_BYTES_FIELD_NUMBER: _ClassVar[int]
    INLINE_STRING_FIELD_NUMBER: _ClassVar[int]
    filename: str
    inline_bytes: bytes
    inline_string: str
    def __init__(self, filename: _Optional[str] = ..., inline_bytes: _Optional[bytes] = ..., inline_string: _Optional[str] = ...) -> None: ...

class DiscoveryRequest(_message.Message):
    __slots__ = ("version_info", "node", "resource_names", "type_url", "response_nonce", "error_detail")
    VERSION_INFO_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_NAMES_FIELD_NUMBER: _ClassVar[int]
    TYPE_URL_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_NONCE_FIELD_NUMBER: _ClassVar[int]
    ERROR_DETAIL_FIELD_NUMBER: _ClassVar[int]
    version_info: str
    node: Node
    resource_names: _containers.RepeatedScalarFieldContainer[str]
    type_url: str
    response_nonce: str
    error_detail: Status
    def __init__(self, version_info: _Optional[str] = ..., node: _Optional[_Union[Node, _Mapping]] = ..., resource_names: _Optional[_Iterable[str]] = ..., type_url: _Optional[str] = ..., response_nonce: _Optional[str] = ..., error_detail: _Optional[_Union[Status, _Mapping]] = ...) -> None: ...

class DiscoveryResponse(_message.Message):
    __slots__ = ("version_info", "resources", "type_url", "nonce")
    VERSION_INFO_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    TYPE_URL_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    version_info: str
    resources: _containers.RepeatedCompositeFieldContainer[Any]
    type_url: str
    nonce: str
    def __init__(self, version_info: _Optional[str] = ..., resources: _Optional[_Iterable[_Union[Any, _Mapping]]] = ..., type_url: _Optional[str] = ..., nonce: _Optional[str] = ...) -> None: ...

class DeltaDiscoveryRequest(_message.Message):
    __slots__ = ("node", "type_url", "resource_names_subscribe", "resource_names_unsubscribe", "initial_resource_versions", "response_nonce", "error_detail")
    class InitialResourceVersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NODE_FIELD_NUMBER: _ClassVar[int]
    TYPE_URL_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_NAMES_SUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_NAMES_UNSUBSCRIBE_FIELD_NUMBER: _ClassVar[int]
    INITIAL_RESOURCE_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_NONCE_FIELD_NUMBER: _ClassVar[int]
    ERROR_DETAIL_FIELD_NUMBER: _ClassVar[int]
    node: Node
    type_url: str
    resource_names_subscribe: _containers.RepeatedScalarFieldContainer[str]
    resource_names_unsubscribe: _containers.RepeatedScalarFieldContainer[str]
    initial_resource_versions: _containers.ScalarMap[str, str]
    response_nonce: str
    error_detail: Status
    def __init__(self, node: _Optional[_Union[Node, _Mapping]] = ..., type_url: _Optional[str] = ..., resource_names_subscribe: _Optional[_Iterable[str]] = ..., resource_names_unsubscribe: _Optional[_Iterable[str]] = ..., initial_resource_versions: _Optional[_Mapping[str, str]] = ..., response_nonce: _Optional[str] = ..., error_detail: _Optional[_Union[Status, _Mapping]] = ...) -> None: ...

class Resource(_message.Message):
    __slots__ = ("version", "resource", "name")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    version: str
    resource: Any
    name: str
    def __init__(self, version: _Optional[str] = ..., resource: _Optional[_Union[Any, _Mapping]] = ..., name: _Optional[str] = ...) -> None: ...

class DeltaDiscoveryResponse(_message.Message):
    __slots__ = ("system_version_info", "resources", "type_url", "nonce", "removed_resources")
    SYSTEM_VERSION_INFO_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    TYPE_URL_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    REMOVED_RESOURCES_FIELD_NUMBER: _ClassVar[int]
    system_version_info: str
    resources: _containers.RepeatedCompositeFieldContainer[Resource]
    type_url: str
    nonce: str
    removed_resources: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, system_version_info: _Optional[str] = ..., resources: _Optional[_Iterable[_Union[Resource, _Mapping]]] = ..., type_url: _Optional[str] = ..., nonce: _Optional[str] = ..., removed_resources: _Optional[_Iterable[str]] = ...) -> None: ...

class TlsCertificate(_message.Message):
    __slots__ = ("certificate_chain", "private_key")
    CERTIFICATE_CHAIN_FIELD_NUMBER: _ClassVar[int]
    PRIVATE_KEY_FIELD_NUMBER: _ClassVar[int]
    certificate_chain: DataSource
    private_key: DataSource
    def __init__(self, certificate_chain: _Optional[_Union[DataSource, _Mapping]] = ..., private_key: _Optional[_Union[DataSource, _Mapping]] = ...) -> None: ...

class CertificateValidationContext(_message.Message):
    __slots__ = ("trusted_ca",)
    TRUSTED_CA_FIELD_NUMBER: _ClassVar[int]
    trusted_ca: DataSource
    def __init__(self, trusted_ca: _Optional[_Union[DataSource, _Mapping]] = ...) -> None: ...

class Secret(_message.Message):
    __slots__ = ("name", "tls_certificate", "validation_context")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TLS_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    name: str
    tls_certificate: TlsCertificate
    validation_context: CertificateValidationContext
    def __init__(self, name: _Optional[str] = ..., tls_certificate: _Optional[_Union[TlsCertificate, _Mapping]] = ..., validation_context: _Optional[_Union[CertificateValidationContext, _Mapping]] = ...) -> None: ...

class NameInfo(_message.Message):
    __slots__ = ("ips", "registry", "shortname", "namespace", "alt_hosts")
    IPS_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_FIELD_NUMBER: _ClassVar[int]
    SHORTNAME_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    ALT_HOSTS_FIELD_NUMBER: _ClassVar[int]
    ips: _containers.RepeatedScalarFieldContainer[str]
    registry: str
    shortname: str
    namespace: str
    alt_hosts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, ips: _Optional[_Iterable[str]] = ..., registry: _Optional[str] = ..., shortname: _Optional[str] = ..., namespace: _Optional[str] = ..., alt_hosts: _Optional[_Iterable[str]] = ...) -> None: ...

class NameTable(_message.Message):
    __slots__ = ("table",)
    class TableEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: NameInfo
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[NameInfo, _Mapping]] = ...) -> None: ...
    TABLE_FIELD_NUMBER: _ClassVar[int]
    table: _containers.MessageMap[str, NameInfo]
    def __init__(self, table: _Optional[_Mapping[str, NameInfo]] = ...) -> None: ...

class IstioCertificateRequest(_message.Message):
    __slots__ = ("csr", "validity_duration", "metadata")
    CSR_FIELD_NUMBER: _ClassVar[int]
    VALIDITY_DURATION_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    csr: str
    validity_duration: int
    metadata: _struct_pb2.Struct
    def __init__(self, csr: _Optional[str] = ..., validity_duration: _Optional[int] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class IstioCertificateResponse(_message.Message):
    __slots__ = ("cert_chain",)
    CERT_CHAIN_FIELD_NUMBER: _ClassVar[int]
    cert_chain: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, cert_chain: _Optional[_Iterable[str]] = ...) -> None: ...

class HealthCheckRequest(_message.Message):
    __slots__ = ("service",)
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    service: str
    def __init__(self, service: _Optional[str] = ...) -> None: ...

class HealthCheckResponse(_message.Message):
    __slots__ = ("status",)
    class ServingStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNKNOWN: _ClassVar[HealthCheckResponse.ServingStatus]
        SERVING: _ClassVar[HealthCheckResponse.ServingStatus]
        NOT_SERVING: _ClassVar[HealthCheckResponse.ServingStatus]
        SERVICE_UNKNOWN: _ClassVar[HealthCheckResponse.ServingStatus]
    UNKNOWN: HealthCheckResponse.ServingStatus
    SERVING: HealthCheckResponse.ServingStatus
    NOT_SERVING: HealthCheckResponse.ServingStatus
    SERVICE_UNKNOWN: HealthCheckResponse.ServingStatus
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: HealthCheckResponse.ServingStatus
    def __init__(self, status: _Optional[_Union[HealthCheckResponse.ServingStatus, str]] = ...) -> None: ...

class TypedStruct(_message.Message):
    __slots__ = ("type_url",)
    TYPE_URL_FIELD_NUMBER: _ClassVar[int]
    type_url: str
    def __init__(self, type_url: _Optional[str] = ...) -> None: ...

class ExtensionConfigSource(_message.Message):
    __slots__ = ("default_config", "type_urls")
    DEFAULT_CONFIG_FIELD_NUMBER: _ClassVar[int]
    TYPE_URLS_FIELD_NUMBER: _ClassVar[int]
    default_config: Any
    type_urls: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, default_config: _Optional[_Union[Any, _Mapping]] = ..., type_urls: _Optional[_Iterable[str]] = ...) -> None: ...

class TypedExtensionConfig(_message.Message):
    __slots__ = ("name", "typed_config")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPED_CONFIG_FIELD_NUMBER: _ClassVar[int]
    name: str
    typed_config: Any
    def __init__(self, name: _Optional[str] = ..., typed_config: _Optional[_Union[Any, _Mapping]] = ...) -> None: ...

class Filter(_message.Message):
    __slots__ = ("name", "typed_config", "config_discovery", "is_optional")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPED_CONFIG_FIELD_NUMBER: _ClassVar[int]
    CONFIG_DISCOVERY_FIELD_NUMBER: _ClassVar[int]
    IS_OPTIONAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    typed_config: Any
    config_discovery: ExtensionConfigSource
    is_optional: bool
    def __init__(self, name: _Optional[str] = ..., typed_config: _Optional[_Union[Any, _Mapping]] = ..., config_discovery: _Optional[_Union[ExtensionConfigSource, _Mapping]] = ..., is_optional: _Optional[bool] = ...) -> None: ...

class ListenerFilter(_message.Message):
    __slots__ = ("name", "typed_config", "config_discovery")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPED_CONFIG_FIELD_NUMBER: _ClassVar[int]
    CONFIG_DISCOVERY_FIELD_NUMBER: _ClassVar[int]
    name: str
    typed_config: Any
    config_discovery: ExtensionConfigSource
    def __init__(self, name: _Optional[str] = ..., typed_config: _Optional[_Union[Any, _Mapping]] = ..., config_discovery: _Optional[_Union[ExtensionConfigSource, _Mapping]] = ...) -> None: ...

class ClusterFilter(_message.Message):
    __slots__ = ("name", "typed_config", "config_discovery")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPED_CONFIG_FIELD_NUMBER: _ClassVar[int]
    CONFIG_DISCOVERY_FIELD_NUMBER: _ClassVar[int]
    name: str
    typed_config: Any
    config_discovery: ExtensionConfigSource
    def __init__(self, name: _Optional[str] = ..., typed_config: _Optional[_Union[Any, _Mapping]] = ..., config_discovery: _Optional[_Union[ExtensionConfigSource, _Mapping]] = ...) -> None: ...

class AccessLog(_message.Message):
    __slots__ = ("name", "typed_config")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPED_CONFIG_FIELD_NUMBER: _ClassVar[int]
    name: str
    typed_config: Any
    def __init__(self, name: _Optional[str] = ..., typed_config: _Optional[_Union[Any, _Mapping]] = ...) -> None: ...

class PerFilterEntry(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: Any
    def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Any, _Mapping]] = ...) -> None: ...

class FilterConfig(_message.Message):
    __slots__ = ("config", "is_optional")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    IS_OPTIONAL_FIELD_NUMBER: _ClassVar[int]
    config: Any
    is_optional: bool
    def __init__(self, config: _Optional[_Union[Any, _Mapping]] = ..., is_optional: _Optional[bool] = ...) -> None: ...

class TransportSocket(_message.Message):
    __slots__ = ("name", "typed_config")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPED_CONFIG_FIELD_NUMBER: _ClassVar[int]
    name: str
    typed_config: Any
    def __init__(self, name: _Optional[str] = ..., typed_config: _Optional[_Union[Any, _Mapping]] = ...) -> None: ...

class Cluster(_message.Message):
    __slots__ = ("http2_protocol_options", "transport_socket", "protocol_selection", "typed_extension_protocol_options", "filters", "transport_socket_matches")
    class TransportSocketMatch(_message.Message):
        __slots__ = ("name", "match", "transport_socket")
        NAME_FIELD_NUMBER: _ClassVar[int]
        MATCH_FIELD_NUMBER: _ClassVar[int]
        TRANSPORT_SOCKET_FIELD_NUMBER: _ClassVar[int]
        name: str
        match: bytes
        transport_socket: bytes
        def __init__(self, name: _Optional[str] = ..., match: _Optional[bytes] = ..., transport_socket: _Optional[bytes] = ...) -> None: ...
    HTTP2_PROTOCOL_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_SOCKET_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_SELECTION_FIELD_NUMBER: _ClassVar[int]
    TYPED_EXTENSION_PROTOCOL_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_SOCKET_MATCHES_FIELD_NUMBER: _ClassVar[int]
    http2_protocol_options: _containers.RepeatedScalarFieldContainer[bytes]
    transport_socket: _containers.RepeatedScalarFieldContainer[bytes]
    protocol_selection: int
    typed_extension_protocol_options: _containers.RepeatedScalarFieldContainer[bytes]
    filters: _containers.RepeatedScalarFieldContainer[bytes]
    transport_socket_matches: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, http2_protocol_options: _Optional[_Iterable[bytes]] = ..., transport_socket: _Optional[_Iterable[bytes]] = ..., protocol_selection: _Optional[int] = ..., typed_extension_protocol_options: _Optional[_Iterable[bytes]] = ..., filters: _Optional[_Iterable[bytes]] = ..., transport_socket_matches: _Optional[_Iterable[bytes]] = ...) -> None: ...

class OptionsEntry(_message.Message):
    __slots__ = ("key", "value")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: Any
    def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Any, _Mapping]] = ...) -> None: ...

class HttpProtocolOptions(_message.Message):
    __slots__ = ("explicit_http_config", "http_filters")
    class ExplicitHttpConfig(_message.Message):
        __slots__ = ("http_protocol_options", "http2_protocol_options")
        HTTP_PROTOCOL_OPTIONS_FIELD_NUMBER: _ClassVar[int]
        HTTP2_PROTOCOL_OPTIONS_FIELD_NUMBER: _ClassVar[int]
        http_protocol_options: _containers.RepeatedScalarFieldContainer[bytes]
        http2_protocol_options: _containers.RepeatedScalarFieldContainer[bytes]
        def __init__(self, http_protocol_options: _Optional[_Iterable[bytes]] = ..., http2_protocol_options: _Optional[_Iterable[bytes]] = ...) -> None: ...
    EXPLICIT_HTTP_CONFIG_FIELD_NUMBER: _ClassVar[int]
    HTTP_FILTERS_FIELD_NUMBER: _ClassVar[int]
    explicit_http_config: HttpProtocolOptions.ExplicitHttpConfig
    http_filters: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, explicit_http_config: _Optional[_Union[HttpProtocolOptions.ExplicitHttpConfig, _Mapping]] = ..., http_filters: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Listener(_message.Message):
    __slots__ = ("filter_chains", "listener_filters", "api_listener", "access_log", "default_filter_chain")
    FILTER_CHAINS_FIELD_NUMBER: _ClassVar[int]
    LISTENER_FILTERS_FIELD_NUMBER: _ClassVar[int]
    API_LISTENER_FIELD_NUMBER: _ClassVar[int]
    ACCESS_LOG_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FILTER_CHAIN_FIELD_NUMBER: _ClassVar[int]
    filter_chains: _containers.RepeatedScalarFieldContainer[bytes]
    listener_filters: _containers.RepeatedScalarFieldContainer[bytes]
    api_listener: _containers.RepeatedScalarFieldContainer[bytes]
    access_log: _containers.RepeatedScalarFieldContainer[bytes]
    default_filter_chain: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, filter_chains: _Optional[_Iterable[bytes]] = ..., listener_filters: _Optional[_Iterable[bytes]] = ..., api_listener: _Optional[_Iterable[bytes]] = ..., access_log: _Optional[_Iterable[bytes]] = ..., default_filter_chain: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ApiListener(_message.Message):
    __slots__ = ("api_listener",)
    API_LISTENER_FIELD_NUMBER: _ClassVar[int]
    api_listener: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, api_listener: _Optional[_Iterable[bytes]] = ...) -> None: ...

class FilterChain(_message.Message):
    __slots__ = ("filters", "transport_socket")
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_SOCKET_FIELD_NUMBER: _ClassVar[int]
    filters: _containers.RepeatedScalarFieldContainer[bytes]
    transport_socket: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, filters: _Optional[_Iterable[bytes]] = ..., transport_socket: _Optional[_Iterable[bytes]] = ...) -> None: ...

class HttpConnectionManager(_message.Message):
    __slots__ = ("route_config", "http_filters", "access_log", "upgrade_configs", "scoped_routes")
    class UpgradeConfig(_message.Message):
        __slots__ = ("filters",)
        FILTERS_FIELD_NUMBER: _ClassVar[int]
        filters: _containers.RepeatedScalarFieldContainer[bytes]
        def __init__(self, filters: _Optional[_Iterable[bytes]] = ...) -> None: ...
    ROUTE_CONFIG_FIELD_NUMBER: _ClassVar[int]
    HTTP_FILTERS_FIELD_NUMBER: _ClassVar[int]
    ACCESS_LOG_FIELD_NUMBER: _ClassVar[int]
    UPGRADE_CONFIGS_FIELD_NUMBER: _ClassVar[int]
    SCOPED_ROUTES_FIELD_NUMBER: _ClassVar[int]
    route_config: _containers.RepeatedScalarFieldContainer[bytes]
    http_filters: _containers.RepeatedScalarFieldContainer[bytes]
    access_log: _containers.RepeatedScalarFieldContainer[bytes]
    upgrade_configs: _containers.RepeatedScalarFieldContainer[bytes]
    scoped_routes: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, route_config: _Optional[_Iterable[bytes]] = ..., http_filters: _Optional[_Iterable[bytes]] = ..., access_log: _Optional[_Iterable[bytes]] = ..., upgrade_configs: _Optional[_Iterable[bytes]] = ..., scoped_routes: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ScopedRoutes(_message.Message):
    __slots__ = ("scoped_route_configurations_list",)
    SCOPED_ROUTE_CONFIGURATIONS_LIST_FIELD_NUMBER: _ClassVar[int]
    scoped_route_configurations_list: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, scoped_route_configurations_list: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ScopedRouteConfigurationsList(_message.Message):
    __slots__ = ("scoped_route_configurations",)
    SCOPED_ROUTE_CONFIGURATIONS_FIELD_NUMBER: _ClassVar[int]
    scoped_route_configurations: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, scoped_route_configurations: _Optional[_Iterable[bytes]] = ...) -> None: ...

class TcpProxy(_message.Message):
    __slots__ = ("access_log",)
    ACCESS_LOG_FIELD_NUMBER: _ClassVar[int]
    access_log: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, access_log: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Router(_message.Message):
    __slots__ = ("upstream_log", "upstream_http_filters")
    UPSTREAM_LOG_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_HTTP_FILTERS_FIELD_NUMBER: _ClassVar[int]
    upstream_log: _containers.RepeatedScalarFieldContainer[bytes]
    upstream_http_filters: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, upstream_log: _Optional[_Iterable[bytes]] = ..., upstream_http_filters: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ScopedRouteConfiguration(_message.Message):
    __slots__ = ("route_configuration",)
    ROUTE_CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    route_configuration: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, route_configuration: _Optional[_Iterable[bytes]] = ...) -> None: ...

class RouteConfiguration(_message.Message):
    __slots__ = ("virtual_hosts", "typed_per_filter_config")
    VIRTUAL_HOSTS_FIELD_NUMBER: _ClassVar[int]
    TYPED_PER_FILTER_CONFIG_FIELD_NUMBER: _ClassVar[int]
    virtual_hosts: _containers.RepeatedScalarFieldContainer[bytes]
    typed_per_filter_config: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, virtual_hosts: _Optional[_Iterable[bytes]] = ..., typed_per_filter_config: _Optional[_Iterable[bytes]] = ...) -> None: ...

class VirtualHost(_message.Message):
    __slots__ = ("routes", "typed_per_filter_config", "matcher")
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    TYPED_PER_FILTER_CONFIG_FIELD_NUMBER: _ClassVar[int]
    MATCHER_FIELD_NUMBER: _ClassVar[int]
    routes: _containers.RepeatedScalarFieldContainer[bytes]
    typed_per_filter_config: _containers.RepeatedScalarFieldContainer[bytes]
    matcher: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, routes: _Optional[_Iterable[bytes]] = ..., typed_per_filter_config: _Optional[_Iterable[bytes]] = ..., matcher: _Optional[_Iterable[bytes]] = ...) -> None: ...

class RouteList(_message.Message):
    __slots__ = ("routes",)
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    routes: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, routes: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Route(_message.Message):
    __slots__ = ("route", "typed_per_filter_config")
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    TYPED_PER_FILTER_CONFIG_FIELD_NUMBER: _ClassVar[int]
    route: _containers.RepeatedScalarFieldContainer[bytes]
    typed_per_filter_config: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, route: _Optional[_Iterable[bytes]] = ..., typed_per_filter_config: _Optional[_Iterable[bytes]] = ...) -> None: ...

class RouteAction(_message.Message):
    __slots__ = ("weighted_clusters",)
    WEIGHTED_CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    weighted_clusters: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, weighted_clusters: _Optional[_Iterable[bytes]] = ...) -> None: ...

class WeightedCluster(_message.Message):
    __slots__ = ("clusters",)
    class ClusterWeight(_message.Message):
        __slots__ = ("typed_per_filter_config",)
        TYPED_PER_FILTER_CONFIG_FIELD_NUMBER: _ClassVar[int]
        typed_per_filter_config: _containers.RepeatedScalarFieldContainer[bytes]
        def __init__(self, typed_per_filter_config: _Optional[_Iterable[bytes]] = ...) -> None: ...
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    clusters: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, clusters: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Matcher(_message.Message):
    __slots__ = ("matcher_list", "matcher_tree", "on_no_match")
    class MatcherList(_message.Message):
        __slots__ = ("matchers",)
        class FieldMatcher(_message.Message):
            __slots__ = ("on_match",)
            ON_MATCH_FIELD_NUMBER: _ClassVar[int]
            on_match: _containers.RepeatedScalarFieldContainer[bytes]
            def __init__(self, on_match: _Optional[_Iterable[bytes]] = ...) -> None: ...
        MATCHERS_FIELD_NUMBER: _ClassVar[int]
        matchers: _containers.RepeatedScalarFieldContainer[bytes]
        def __init__(self, matchers: _Optional[_Iterable[bytes]] = ...) -> None: ...
    class MatcherTree(_message.Message):
        __slots__ = ("exact_match_map", "prefix_match_map")
        class MatchMap(_message.Message):
            __slots__ = ("map",)
            class MapEntry(_message.Message):
                __slots__ = ("value",)
                VALUE_FIELD_NUMBER: _ClassVar[int]
                value: _containers.RepeatedScalarFieldContainer[bytes]
                def __init__(self, value: _Optional[_Iterable[bytes]] = ...) -> None: ...
            MAP_FIELD_NUMBER: _ClassVar[int]
            map: _containers.RepeatedScalarFieldContainer[bytes]
            def __init__(self, map: _Optional[_Iterable[bytes]] = ...) -> None: ...
        EXACT_MATCH_MAP_FIELD_NUMBER: _ClassVar[int]
        PREFIX_MATCH_MAP_FIELD_NUMBER: _ClassVar[int]
        exact_match_map: _containers.RepeatedScalarFieldContainer[bytes]
        prefix_match_map: _containers.RepeatedScalarFieldContainer[bytes]
        def __init__(self, exact_match_map: _Optional[_Iterable[bytes]] = ..., prefix_match_map: _Optional[_Iterable[bytes]] = ...) -> None: ...
    class OnMatch(_message.Message):
        __slots__ = ("matcher", "action")
        MATCHER_FIELD_NUMBER: _ClassVar[int]
        ACTION_FIELD_NUMBER: _ClassVar[int]
        matcher: _containers.RepeatedScalarFieldContainer[bytes]
        action: _containers.RepeatedScalarFieldContainer[bytes]
        def __init__(self, matcher: _Optional[_Iterable[bytes]] = ..., action: _Optional[_Iterable[bytes]] = ...) -> None: ...
    class Action(_message.Message):
        __slots__ = ("name", "typed_config")
        NAME_FIELD_NUMBER: _ClassVar[int]
        TYPED_CONFIG_FIELD_NUMBER: _ClassVar[int]
        name: str
        typed_config: Any
        def __init__(self, name: _Optional[str] = ..., typed_config: _Optional[_Union[Any, _Mapping]] = ...) -> None: ...
    MATCHER_LIST_FIELD_NUMBER: _ClassVar[int]
    MATCHER_TREE_FIELD_NUMBER: _ClassVar[int]
    ON_NO_MATCH_FIELD_NUMBER: _ClassVar[int]
    matcher_list: _containers.RepeatedScalarFieldContainer[bytes]
    matcher_tree: _containers.RepeatedScalarFieldContainer[bytes]
    on_no_match: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, matcher_list: _Optional[_Iterable[bytes]] = ..., matcher_tree: _Optional[_Iterable[bytes]] = ..., on_no_match: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ExtensionWithMatcher(_message.Message):
    __slots__ = ("matcher", "extension_config", "xds_matcher")
    MATCHER_FIELD_NUMBER: _ClassVar[int]
    EXTENSION_CONFIG_FIELD_NUMBER: _ClassVar[int]
    XDS_MATCHER_FIELD_NUMBER: _ClassVar[int]
    matcher: _containers.RepeatedScalarFieldContainer[bytes]
    extension_config: _containers.RepeatedScalarFieldContainer[bytes]
    xds_matcher: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, matcher: _Optional[_Iterable[bytes]] = ..., extension_config: _Optional[_Iterable[bytes]] = ..., xds_matcher: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ExtensionWithMatcherPerRoute(_message.Message):
    __slots__ = ("xds_matcher",)
    XDS_MATCHER_FIELD_NUMBER: _ClassVar[int]
    xds_matcher: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, xds_matcher: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ExecuteFilterAction(_message.Message):
    __slots__ = ("typed_config", "dynamic_config", "filter_chain")
    TYPED_CONFIG_FIELD_NUMBER: _ClassVar[int]
    DYNAMIC_CONFIG_FIELD_NUMBER: _ClassVar[int]
    FILTER_CHAIN_FIELD_NUMBER: _ClassVar[int]
    typed_config: _containers.RepeatedScalarFieldContainer[bytes]
    dynamic_config: _containers.RepeatedScalarFieldContainer[bytes]
    filter_chain: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, typed_config: _Optional[_Iterable[bytes]] = ..., dynamic_config: _Optional[_Iterable[bytes]] = ..., filter_chain: _Optional[_Iterable[bytes]] = ...) -> None: ...

class DynamicConfig(_message.Message):
    __slots__ = ("name", "config_discovery")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONFIG_DISCOVERY_FIELD_NUMBER: _ClassVar[int]
    name: str
    config_discovery: ExtensionConfigSource
    def __init__(self, name: _Optional[str] = ..., config_discovery: _Optional[_Union[ExtensionConfigSource, _Mapping]] = ...) -> None: ...

class FilterChainConfiguration(_message.Message):
    __slots__ = ("typed_config",)
    TYPED_CONFIG_FIELD_NUMBER: _ClassVar[int]
    typed_config: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, typed_config: _Optional[_Iterable[bytes]] = ...) -> None: ...

class InternalUpstreamTransport(_message.Message):
    __slots__ = ("transport_socket",)
    TRANSPORT_SOCKET_FIELD_NUMBER: _ClassVar[int]
    transport_socket: bytes
    def __init__(self, transport_socket: _Optional[bytes] = ...) -> None: ...

class ProxyProtocolUpstreamTransport(_message.Message):
    __slots__ = ("transport_socket",)
    TRANSPORT_SOCKET_FIELD_NUMBER: _ClassVar[int]
    transport_socket: bytes
    def __init__(self, transport_socket: _Optional[bytes] = ...) -> None: ...

class TapTransport(_message.Message):
    __slots__ = ("transport_socket",)
    TRANSPORT_SOCKET_FIELD_NUMBER: _ClassVar[int]
    transport_socket: bytes
    def __init__(self, transport_socket: _Optional[bytes] = ...) -> None: ...

class TcpStatsTransport(_message.Message):
    __slots__ = ("transport_socket",)
    TRANSPORT_SOCKET_FIELD_NUMBER: _ClassVar[int]
    transport_socket: bytes
    def __init__(self, transport_socket: _Optional[bytes] = ...) -> None: ...

class Http11ProxyUpstreamTransport(_message.Message):
    __slots__ = ("transport_socket",)
    TRANSPORT_SOCKET_FIELD_NUMBER: _ClassVar[int]
    transport_socket: bytes
    def __init__(self, transport_socket: _Optional[bytes] = ...) -> None: ...

class StartTlsConfig(_message.Message):
    __slots__ = ("tls_socket_config",)
    TLS_SOCKET_CONFIG_FIELD_NUMBER: _ClassVar[int]
    tls_socket_config: bytes
    def __init__(self, tls_socket_config: _Optional[bytes] = ...) -> None: ...

class TlsContext(_message.Message):
    __slots__ = ("common_tls_context",)
    COMMON_TLS_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    common_tls_context: CommonTlsContext
    def __init__(self, common_tls_context: _Optional[_Union[CommonTlsContext, _Mapping]] = ...) -> None: ...

class CommonTlsContext(_message.Message):
    __slots__ = ("tls_params", "alpn_protocols")
    TLS_PARAMS_FIELD_NUMBER: _ClassVar[int]
    ALPN_PROTOCOLS_FIELD_NUMBER: _ClassVar[int]
    tls_params: bytes
    alpn_protocols: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tls_params: _Optional[bytes] = ..., alpn_protocols: _Optional[_Iterable[str]] = ...) -> None: ...
