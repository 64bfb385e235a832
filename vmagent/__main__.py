"""``python -m vmagent`` and the ``vmagent`` command."""

import os
import sys


def main() -> None:
    """``capture hold`` lives for months as root: it starts without the command line's libraries."""
    if sys.argv[1:3] == ["capture", "hold"]:
        from vmagent.capture.hold import main as hold

        sys.exit(hold(sys.argv[3:], os.environ))
    from vmagent.cli.main import main as cli

    cli()


if __name__ == "__main__":
    main()
