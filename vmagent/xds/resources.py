"""Resources as the control plane sent them: names, and where the bytes of each lie.

Owns:      that a response of tens of megabytes is kept once, however many parts of the agent hold something
           of it, and that it can move to a file under them (shelf.py).
Does not:  know variants, subscriptions or what a resource means.
"""

import os
from collections.abc import Callable, Iterator, Mapping


class Blob:
    """Bytes that are in memory at first, and in a file once somebody has moved them there."""

    __slots__ = ("_data", "_handle", "size")

    def __init__(self, data: bytes) -> None:
        self._data: bytes | None = data
        self._handle: int | None = None
        self.size = len(data)

    @classmethod
    def of_file(cls, handle: int, size: int) -> "Blob":
        """``handle`` is ours from now on."""
        blob = cls(b"")
        blob.size = size
        blob.move(handle)
        return blob

    def __del__(self) -> None:
        if self._handle is not None:
            os.close(self._handle)

    def __bytes__(self) -> bytes:
        return self.read(0, self.size)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, bytes | Blob) and bytes(self) == bytes(other)

    __hash__ = object.__hash__

    @property
    def in_memory(self) -> bool:
        return self._data is not None

    def read(self, start: int, length: int) -> bytes:
        """Raises OSError when the disk does."""
        data = self._data  # once: another thread may read while it is moved
        if data is not None:
            return data if length == self.size else data[start : start + length]
        assert self._handle is not None
        return os.pread(self._handle, length, start)

    def move(self, handle: int) -> None:
        """The open file has these very bytes from its beginning. It is closed with the last reference to
        us.
        """
        self._handle, self._data = handle, None


class Piece:
    """One resource: a part of a blob, and its version. Moves when its blob is tidied up."""

    __slots__ = ("blob", "length", "start", "version")

    def __init__(self, blob: Blob, start: int, length: int, version: str = "") -> None:
        self.blob = blob
        self.start = start
        self.length = length
        self.version = version

    @property
    def value(self) -> bytes:
        return self.blob.read(self.start, self.length)


class Resources(Mapping[str, bytes]):
    """Name to serialized message. The names are found out when somebody asks for them."""

    def __init__(self, find: Callable[[], dict[str, Piece]]) -> None:
        self._find: Callable[[], dict[str, Piece]] | None = find
        self._found: dict[str, Piece] = {}
        self._reader: Callable[[Blob], dict[str, Piece]] | None = None

    @classmethod
    def of_response(cls, blob: Blob, reader: Callable[[Blob], dict[str, Piece]]) -> "Resources":
        """``reader`` finds them in the bytes of a response."""
        made = cls(lambda: reader(blob))
        made._reader = reader
        return made

    def rewritten(self, data: bytes) -> "Resources":
        """Those of another response, of the same variant as ours."""
        assert self._reader is not None
        return Resources.of_response(Blob(data), self._reader)

    @classmethod
    def of(cls, pieces: Mapping[str, Piece]) -> "Resources":
        """As they are now."""
        copy = dict(pieces)
        return cls(lambda: copy)

    @classmethod
    def plain(cls, values: Mapping[str, bytes]) -> "Resources":
        if isinstance(values, Resources):
            return values
        return cls.of({name: Piece(Blob(value), 0, len(value)) for name, value in values.items()})

    @property
    def pieces(self) -> dict[str, Piece]:
        if self._find is not None:
            self._found, self._find = self._find(), None
        return self._found

    @property
    def versions(self) -> "Versions":
        return Versions(self)

    def __getitem__(self, name: str) -> bytes:
        return self.pieces[name].value

    def __iter__(self) -> Iterator[str]:
        return iter(self.pieces)

    def __len__(self) -> int:
        return len(self.pieces)

    def __contains__(self, name: object) -> bool:
        return name in self.pieces

    def __repr__(self) -> str:
        return f"Resources({dict(self)})" if len(self) < 5 else f"Resources of {len(self)}"


class Versions(Mapping[str, str]):
    """Name to version, of the same resources."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def __getitem__(self, name: str) -> str:
        return self._resources.pieces[name].version

    def __iter__(self) -> Iterator[str]:
        return iter(self._resources)

    def __len__(self) -> int:
        return len(self._resources)
