"""``/debug/faults`` of the API: which faults there are, and switching them on and off while it runs."""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from lab.controlplane.faults import TABLE, Faults


class BadFault(ValueError):
    """What was asked for is none of the table's; the text says which there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultApi:
    faults: Faults
    drop_connections: Callable[[], None]

    def handle(self, method: str, below: tuple[str, ...], body: Callable[[], Any]) -> tuple[HTTPStatus, Any]:
        """``below`` is the path after ``/debug/faults``. Raises BadFault."""
        match method, below:
            case "GET", ():
                pass
            case "PUT", ():
                self._set(body())
            case "DELETE", ():
                self.faults.clear()
            case "POST", ("drop",):
                self.drop_connections()
            case _:
                return HTTPStatus.METHOD_NOT_ALLOWED, {"message": f"{method} is not served here"}
        return HTTPStatus.OK, self._shown()

    def _set(self, given: Any) -> None:
        if not isinstance(given, dict) or not all(isinstance(each, str) for each in given.values()):
            raise BadFault("write an object of fault names and values, both strings")
        try:
            self.faults.set(given)
        except ValueError as why:
            raise BadFault(str(why)) from why

    def _shown(self) -> dict[str, Any]:
        values = self.faults.values()
        return {
            name: {
                "value": values[each.name],
                "on": values[each.name] != each.default,
                "help": each.metadata["help"],
            }
            for name, each in TABLE.items()
        }
