"""A token that is no good is named and waited for; a good one in its place is enough."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from lab.controlplane.tokens import ServiceAccount
from tests.netns.wrong_files.machine import HEALED, TOKEN, Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    name: str
    spoil: Callable[[Machine], None]
    words: tuple[str, ...]
    repair: Callable[[Machine], None] = Machine.write_token
    check: int = 78
    """Exit status of ``config check``."""


def _remove(machine: Machine) -> None:
    machine.vm.run(["rm", "-f", TOKEN])


def _hide(machine: Machine) -> None:
    machine.vm.run(["sh", "-c", f"chown root {TOKEN} && chmod 0000 {TOKEN}"])


def _show(machine: Machine) -> None:
    machine.vm.run(["sh", "-c", f"chown istio-proxy {TOKEN} && chmod 0600 {TOKEN}"])


STRANGER = ServiceAccount("istio-system", "default")

CASES = (
    Case(name="missing", spoil=_remove, words=("there is no token", TOKEN, "does not exist"), check=75),
    Case(name="empty", spoil=lambda machine: machine.write_token(""), words=(TOKEN, "is empty")),
    Case(
        name="expired",
        spoil=lambda machine: machine.write_token(machine.issue(ttl=-60)),
        words=("UNAUTHENTICATED", TOKEN, "expired at"),
    ),
    Case(
        name="for another audience",
        spoil=lambda machine: machine.write_token(machine.issue(audience="vault")),
        words=("UNAUTHENTICATED", TOKEN, "is meant for vault", "istio-ca"),
    ),
    Case(
        name="of another namespace",
        spoil=lambda machine: machine.write_token(machine.issue(STRANGER)),
        words=(TOKEN, "belongs to service account default in namespace istio-system", "POD_NAMESPACE"),
    ),
    Case(name="unreadable", spoil=_hide, repair=_show, words=(TOKEN, "cannot be read: permission denied")),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_token_is_waited_for_and_its_repair_is_enough(machine: Machine, case: Case) -> None:
    case.spoil(machine)
    machine.start()
    line = machine.until_told("identity", *case.words)
    machine.checked(case.check, line)
    assert machine.agent is not None
    case.repair(machine)
    took = machine.until_joined()
    print(f"joined {took:.2f} s after the repair")
    assert took <= HEALED
    assert machine.agent.process.alive
