"""Compares what stands on this machine with what the manifest says was written. Changes nothing."""

from dataclasses import dataclass
from pathlib import Path

from vmagent.capture import backend, diff, manifest
from vmagent.capture.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    manifest: Manifest | None
    """None: capture is off."""
    drift: tuple[str, ...]
    """What is missing, extra or out of order, one sentence each. Empty means intact."""


def verify(directory: Path = manifest.DIRECTORY) -> Verdict:
    known = manifest.load(directory)
    if known is None:
        return Verdict(manifest=None, drift=())
    if known.state == "writing":
        sentence = "an apply was interrupted: what it was about to write may be there in part"
        return Verdict(manifest=known, drift=(sentence, *drift(known)))
    return Verdict(manifest=known, drift=drift(known))


def drift(known: Manifest) -> tuple[str, ...]:
    reader = backend.of(known.tools)
    return tuple(
        f"{family}: {sentence}"
        for family, written in known.families.items()
        for sentence in diff.drift(written.rules, diff.ours(reader.read(family), written.chains))
    )


def show(known: Manifest) -> str:
    """Our rules as they stand now, the way iptables-save prints them."""
    reader = backend.of(known.tools)
    lines: list[str] = []
    for family, written in known.families.items():
        for table, chains in diff.ours(reader.read(family), written.chains).items():
            lines += [f"# {family}", f"*{table}"]
            lines += [f":{chain} - [0:0]" for chain in chains if chain in written.chains.get(table, ())]
            lines += [f"-A {chain} {spec}" for chain, specs in chains.items() for spec in specs]
            lines.append("COMMIT")
    return "\n".join((*lines, ""))
