"""What a test wants to know of a process that is none of its children."""

from pathlib import Path


def alive(pid: int) -> bool:
    """One that has ended, and that its parent has not looked at yet, is not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
