from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class PluginConfig(_message.Message):
    __slots__ = ("disable_host_header_fallback",)
    DISABLE_HOST_HEADER_FALLBACK_FIELD_NUMBER: _ClassVar[int]
    disable_host_header_fallback: bool
    def __init__(self, disable_host_header_fallback: _Optional[bool] = ...) -> None: ...
