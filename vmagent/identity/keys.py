"""The parent's end of the signer child: start it, ask it, end it, within stated times.

Owns:      the child process and its protocol (signer.py has the other end).
Does not:  import cryptography; keep a key anywhere but in the Credential it returns.
Surprise:  the child's environment holds nothing but where Python finds modules, the same places as ours, so
           it works wherever the agent itself does; its arguments hold nothing at all.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import vmagent
from vmagent.errors import Refused, Unavailable
from vmagent.identity.config import KeySpec
from vmagent.identity.credential import Credential
from vmagent.identity.spiffe import SpiffeId

ANSWER: Final = 30.0
"""Seconds for one answer. A P-256 key takes 1 ms; RSA 4096 on a small busy VM takes several seconds."""

GOODBYE: Final = 2.0
"""Seconds to exit once its input is closed, then it is killed."""

UNUSED: Final = 5.0
"""Seconds that a child waits which was started early. The CA may be away."""

LONGEST_LINE: Final = 1 << 20
"""Bytes. A chain with an operating system's whole bundle of roots is below 300 KB."""

_COMMAND: Final = ("-s", "-S", "-P", "-m", "vmagent.identity.signer")
"""-I would be the same (no user site, no current directory) but would also forget PYTHONPATH, which is ours
here; -S skips the .pth files, whose work is already done in our sys.path.
"""

_early: list[asyncio.subprocess.Process] = []
"""Of this event loop."""


@contextlib.asynccontextmanager
async def signer() -> AsyncIterator["Signer"]:
    """One child for the block; however the block ends, the child is gone afterwards, and its key with it.

    Raises Unavailable where the machine has no room for one: too many processes, too many open files, no
    memory; or no interpreter, in the middle of an upgrade.
    """
    process = _early.pop() if _early else await _start()
    try:
        yield Signer(process)
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE):
                await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def start_early() -> None:
    """Start the child that will be asked for first: it takes as long as the agent's own beginning, and that
    goes on meanwhile. A child that nobody asks for is let go; if there can be none, whoever asks will hear.
    """
    with contextlib.suppress(Unavailable):
        process = await _start()
        _early.append(process)
        asyncio.get_running_loop().call_later(UNUSED, _let_go, process)


async def end_early() -> None:
    """At the end of the agent no child stays for a moment longer."""
    while _early:
        process = _early.pop()
        if process.returncode is None:
            process.kill()
            await process.wait()


def _let_go(process: asyncio.subprocess.Process) -> None:
    if process in _early:
        _early.remove(process)
        assert process.stdin is not None
        process.stdin.close()


async def _start() -> asyncio.subprocess.Process:
    places = dict.fromkeys([str(Path(vmagent.__file__).parents[1]), *filter(None, sys.path)])
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *_COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PYTHONPATH": ":".join(places)},
            cwd="/",
            start_new_session=True,
            limit=LONGEST_LINE,
        )
    except OSError as why:
        raise Unavailable(f"the signer cannot be started: {why.strerror}") from why
    except RuntimeError as why:  # asyncio waits for each child in a thread; without one nobody would
        raise Unavailable(f"the signer cannot be started: {why}") from why


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """What there is to know of a certificate. Times are epoch seconds."""

    not_before: float
    not_after: float
    uri: str
    """Its first URI name: a SPIFFE name, usually; may be empty."""


class Signer:
    """Raises Refused when the child finds the certificate wanting, Unavailable when the child itself
    fails.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def request(self, spiffe: SpiffeId, key: KeySpec) -> str:
        """Make a fresh key, which stays in the child; returns the certificate signing request, PEM."""
        answer = await self._ask(
            "request", spiffe=str(spiffe), algorithm=key.algorithm, rsa_bits=key.rsa_bits, pkcs8=key.pkcs8
        )
        return str(answer["csr"])

    async def accept(self, chain: Sequence[str], *, spiffe: SpiffeId, now: float) -> Credential:
        """``chain`` is the CA's answer to ``request``: leaf first, root last."""
        return _credential(spiffe, await self._ask("accept", chain=list(chain), spiffe=str(spiffe), now=now))

    async def check(
        self, *, key: bytes, chain: bytes, root: bytes, spiffe: SpiffeId, now: float
    ) -> Credential:
        """Judge what was stored earlier as strictly as what comes from the CA."""
        texts = {"key": _text(key), "chain": _text(chain), "root": _text(root)}
        return _credential(spiffe, await self._ask("check", **texts, spiffe=str(spiffe), now=now))

    async def pair(self, *, chain: bytes, key: bytes, names: tuple[str, str]) -> Leaf:
        """Whether they belong together. ``names`` of their files are for the sentence."""
        texts = {"chain": _text(chain), "key": _text(key)}
        answer = await self._ask("pair", **texts, chain_from=names[0], key_from=names[1])
        return Leaf(not_before=answer["not_before"], not_after=answer["not_after"], uri=answer["uri"])

    async def bundle(self, pem: bytes, *, name: str) -> tuple[bytes, int]:
        """The whole ones of several roots, and how many are damaged."""
        answer = await self._ask("bundle", pem=_text(pem), pem_from=name)
        return answer["pem"].encode(), int(answer["dropped"])

    async def compare(self, *, leaf_pem: str, root_pem: bytes) -> tuple[str, str]:
        """Who signed the leaf, and what the root file holds instead: words for a message."""
        answer = await self._ask("compare", leaf=leaf_pem, root=_text(root_pem))
        return str(answer["issuer"]), str(answer["root"])

    async def _ask(self, do: str, **what: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(ANSWER):
                self._process.stdin.write(json.dumps({"do": do} | what).encode() + b"\n")
                await self._process.stdin.drain()
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise Unavailable(f"the signer gave no answer within {ANSWER:g} s") from None
        except (ConnectionError, ValueError):
            line = b""
        if not line.endswith(b"\n"):
            raise Unavailable(f"the signer ended early: {await self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "refused" in answer:
            raise Refused(answer["refused"], hint=answer["hint"])
        return answer

    async def _last_words(self) -> str:
        """The last line of its traceback: Python prints no values there, so no key either."""
        assert self._process.stderr is not None
        try:
            async with asyncio.timeout(GOODBYE):
                said = (await self._process.stderr.read(LONGEST_LINE)).decode(errors="replace").strip()
                code = await self._process.wait()
        except TimeoutError:
            return "it still runs, and says nothing"
        return said.splitlines()[-1] if said else f"exit status {code}"


def _credential(spiffe: SpiffeId, answer: dict[str, Any]) -> Credential:
    return Credential(
        spiffe=spiffe,
        key_pem=answer["key"].encode(),
        chain_pem=answer["chain"].encode(),
        root_pem=answer["root"].encode(),
        not_before=answer["not_before"],
        not_after=answer["not_after"],
    )


def _text(pem: bytes) -> str:
    return pem.decode(errors="replace")
