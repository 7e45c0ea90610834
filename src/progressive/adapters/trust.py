"""Whom to trust: nobody yet."""

from __future__ import annotations

import ssl
import sys

__all__ = ["verifying"]


def verifying() -> ssl.SSLContext:
    """A context that verifies, and trusts nobody yet. That of the standard library would write the
    keys of every connection into the file that the environment names (SSLKEYLOGFILE).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if sys.version_info >= (3, 13):  # as `ssl.create_default_context` does since then
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    return context
