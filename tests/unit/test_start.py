"""Words on the command line are quick because little is imported for them."""

import subprocess
import sys

import pytest

CODE = """
import sys
from vmagent.__main__ import main
sys.argv = ["vmagent", *sys.argv[1:]]
try:
    main()
except SystemExit:
    pass
heavy = {"asyncio", "grpc", "google", "yaml", "psutil", "cryptography", "dnslib", "iptc", "vmagent.config"}
print(sorted(heavy & sys.modules.keys()))
"""


@pytest.mark.effects
@pytest.mark.parametrize("words", [("--version",), ("wait", "--timeout=0")])
def test_a_question_loads_no_more_than_its_answer_needs(words: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, *words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
