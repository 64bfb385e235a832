"""A headless Chromium that looks at a page: what it made of it, what it complained of, what it painted."""

import shutil
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "chromium-headless-shell"
PATIENCE = 60.0
"""Seconds; it starts within two on an idle machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    dom: str
    """HTML again, after the browser has read it and run what it would run."""
    complaints: str
    """Its console: what a policy forbade, what failed to load."""


def look(url: str, profile: Path) -> Seen:
    done = _run(profile, "--dump-dom", url)
    return Seen(dom=done.stdout, complaints=done.stderr)


def picture(url: str, profile: Path, target: Path, *, dark: bool = False, height: int = 900) -> Path:
    """A PNG, 1280 pixels wide."""
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    _run(profile, *scheme, f"--screenshot={target}", f"--window-size=1280,{height}", "--hide-scrollbars", url)
    return target


def corner(png: Path) -> tuple[int, ...]:
    """Red, green and blue of the pixel at the top left, which no filter of PNG changes."""
    data, at, packed = png.read_bytes(), 8, b""
    while at < len(data):
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if kind == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += 12 + length
    return tuple(zlib.decompressobj().decompress(packed, 4)[1:4])


def _run(profile: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert shutil.which(PROGRAM), f"{PROGRAM} is missing: lab/setup/setup.sh browser installs it"
    command = [
        PROGRAM, "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server",
        "--enable-logging=stderr", f"--user-data-dir={profile}", *arguments,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
