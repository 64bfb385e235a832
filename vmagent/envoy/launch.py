"""The only door to a program that is started: Envoy, and Envoy that only checks its files.

Owns:      how Envoy is born (with launcher.py), and the sentence for a program that cannot be started.
Does not:  know why it is started (supervisor.py), or how a process is watched and ended (process.py).
"""

import asyncio
import contextlib
import errno
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from vmagent.envoy import launcher
from vmagent.envoy.process import Child, ProcessId, Running
from vmagent.errors import Misconfigured, Unavailable, VmagentError

Streams = tuple[int, int]
"""File descriptors for standard output and error."""

Record = Callable[[ProcessId], None]
"""Writes down who was born."""

BIRTH_LIMIT: Final = 10.0
"""Seconds from the launcher's start to Envoy's. They take 20 ms."""

CHECK_LIMIT: Final = 5.0
"""Seconds for an Envoy that only checks its command line and its files. It needs 0.1."""
LONGEST_OUTPUT: Final = 1 << 16
"""Bytes of it that are read: usage texts have about 10 000."""

_NO_MORE: Final = 512
"""Bytes of one message of the launcher."""


async def spawn(
    arguments: Sequence[str], environment: Mapping[str, str], output: Streams | None, record: Record
) -> Child:
    """Raises Misconfigured (a person must mend something) or Unavailable (try again), naming the binary.

    stdin is empty; without ``output`` stdout and stderr are ours; of our environment nothing is passed on.
    ``record`` is called before the program runs. An agent that ends meanwhile leaves nothing behind.
    """
    binary = Path(arguments[0])
    try:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    except OSError as why:
        raise refusal(binary, why) from why
    with ours, contextlib.closing(theirs):
        ours.setblocking(False)
        try:
            async with asyncio.timeout(BIRTH_LIMIT):
                await _launch(theirs, arguments, environment, output)
                theirs.close()
                return await _born(ours, binary, record)
        except TimeoutError:
            raise Unavailable(f"{binary}: cannot be started within {BIRTH_LIMIT:g} s") from None


async def _launch(
    theirs: socket.socket,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    output: Streams | None,
) -> None:
    """Returns when the launcher is gone, and what it left has the first process for a parent."""
    stdout, stderr = output or (None, None)
    program = [sys.executable, "-I", "-S", launcher.__file__, str(theirs.fileno())]
    try:
        process = await asyncio.create_subprocess_exec(
            *program,
            *arguments,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            cwd="/",
            pass_fds=(theirs.fileno(),),
        )
    except OSError as why:
        raise refusal(Path(sys.executable), why) from why
    try:
        await process.wait()
    except BaseException:  # what it left ends with our end of the link
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise


async def _born(ours: socket.socket, binary: Path, record: Record) -> Child:
    loop = asyncio.get_running_loop()
    process = ProcessId.newborn(await loop.sock_recv(ours, _NO_MORE))
    child = Running.newborn(process) if process else None
    if process is None or child is None:
        raise Unavailable(f"{binary}: cannot be started: its launcher ended")
    record(process)
    try:
        await loop.sock_sendall(ours, launcher.GO)
        trouble = (await loop.sock_recv(ours, _NO_MORE)).decode(errors="replace")
    except OSError:
        trouble = ""  # it was killed in these milliseconds: whoever waits for it will see
    except BaseException:
        child.kill()
        raise
    if trouble:
        number, _, name = trouble.partition(" ")
        why = OSError(int(number), os.strerror(int(number)), name)
        raise refusal(binary, why) from why
    return child


async def check(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """What Envoy prints when it only has to check its command line and its files. Empty if it cannot be
    asked.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            "--mode",
            "validate",
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd="/",
        )
    except OSError:
        return ""
    printed = b""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(CHECK_LIMIT):
            while len(printed) < LONGEST_OUTPUT and (more := await process.stdout.read(LONGEST_OUTPUT)):
                printed += more
    except TimeoutError:
        return ""
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return printed.decode(errors="replace")


def refusal(binary: Path, why: OSError) -> VmagentError:
    """Why a program could not be started, as something that a person can act on."""
    match why.errno:
        case errno.ENOENT if binary.exists():
            return Misconfigured(
                f"{binary}: a file that it needs to run is missing ({why.filename})",
                hint="is it built for this machine? try it with --version",
            )
        case errno.ENOENT | errno.ENOTDIR:
            return Misconfigured(
                f"{binary}: no such file", hint="install Envoy there, or name another place in binaryPath"
            )
        case errno.EACCES | errno.EISDIR | errno.EPERM:
            return Misconfigured(
                f"{binary}: this user may not execute it",
                hint=f"chmod 0755 {binary}, and its folders as well",
            )
        case errno.ENOEXEC:
            return Misconfigured(
                f"{binary}: not a program for this machine", hint=f"install an Envoy for {os.uname().machine}"
            )
        case _:
            return Unavailable(f"{binary}: cannot be started: {why.strerror}")
