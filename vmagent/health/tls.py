"""What an HTTPS probe asks of TLS: nothing but that it works. With this comes OpenSSL."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from vmagent.runtime import openssl


def no_questions() -> ssl.SSLContext:
    openssl.lend_to_asyncio()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextmanager
def worded() -> Iterator[None]:
    """Raises ValueError with the sentence for whatever TLS fails for."""
    try:
        yield
    except ssl.SSLError as error:
        why = (error.reason or "failed").lower().replace("_", " ")
        raise ValueError(f"TLS handshake: {why}") from None
