"""The child that makes keys may begin before it is asked for."""

import asyncio

import pytest

from vmagent.identity import keys
from vmagent.identity.config import KeySpec
from vmagent.identity.spiffe import SpiffeId

ME = SpiffeId(trust_domain="cluster.local", namespace="bookinfo", service_account="vm")


async def child() -> asyncio.subprocess.Process:
    await keys.start_early()
    (found,) = keys._early
    return found


async def test_who_asks_first_has_it_and_the_next_one_gets_another() -> None:
    process = await child()
    async with keys.signer() as signer:
        assert signer._process is process
        async with keys.signer() as other:
            assert other._process is not process
        assert "BEGIN CERTIFICATE REQUEST" in await signer.request(ME, KeySpec(algorithm="P256"))
    assert process.returncode == 0


async def test_nobody_asks_and_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "UNUSED", 0.01)
    process = await child()
    async with asyncio.timeout(30):
        assert await process.wait() == 0
    async with keys.signer() as signer:
        assert signer._process is not process
