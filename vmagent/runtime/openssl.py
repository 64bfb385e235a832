"""Python's own TLS, loaded when it is needed and not before: OpenSSL takes 6 MB, and gRPC brings its own.

Owns:      that asyncio and http are imported without it, and that asyncio gets it later.
Does not:  say whom to trust (identity/trust.py).
Surprise:  both of them import ``ssl`` for whoever may want it, and go without where there is none. So there
           is none while they are imported.
"""

import importlib
import sys
from typing import Final

_WANT_IT: Final = ("asyncio", "http.client")


def leave_out() -> None:
    """Before anybody imports asyncio. Where somebody has, this changes nothing."""
    if "ssl" in sys.modules:
        return
    sys.modules["ssl"] = None  # type: ignore[assignment]
    try:
        for name in _WANT_IT:
            importlib.import_module(name)
    finally:
        del sys.modules["ssl"]


def lend_to_asyncio() -> None:
    """Before asyncio is given a context of ``ssl``: it knows the module from now on."""
    import ssl
    from asyncio import base_events, selector_events, sslproto

    for module in (base_events, selector_events, sslproto):
        vars(module)["ssl"] = ssl
    vars(sslproto)["SSLAgainErrors"] = (ssl.SSLWantReadError, ssl.SSLSyscallError)
