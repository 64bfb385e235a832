import os

import pytest

from vmagent.capture import privilege
from vmagent.errors import Refused

NOTHING = "Name:\tx\nCapEff:\t0000000000000000\n"
NET_ADMIN = "Name:\tx\nCapEff:\t0000000000001000\n"


@pytest.mark.parametrize(("uid", "status"), [(0, NOTHING), (998, NOTHING), (998, NET_ADMIN)])
def test_a_root_without_the_capability_is_no_root_and_the_command_is_named(
    monkeypatch: pytest.MonkeyPatch, uid: int, status: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    with pytest.raises(Refused, match="capture apply needs root with CAP_NET_ADMIN") as refused:
        privilege.check("capture apply", status)
    assert "sudo" in refused.value.hint


def test_root_with_the_capability_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    privilege.check("capture apply", NET_ADMIN)
