"""How chains of certificates are verified, for every TLS context of this program: the same on every Python.

Python 3.13 changed the defaults of `ssl.create_default_context`, which is therefore not used. What is decided here:

- any certificate of the file of authorities is an anchor, an intermediate or the server's own, too
  (`VERIFY_X509_PARTIAL_CHAIN`): that is what people expect of a file of certificates to trust;
- authorities are not asked for what RFC 5280 wants of them beside a valid signature (no `VERIFY_X509_STRICT`): private
  ones that are older than those wishes go on working;
- the name of a server is a subject alternative name; a common name is none (RFC 9525 §2);
- a chain ends at the first certificate that is trusted (`VERIFY_X509_TRUSTED_FIRST`, OpenSSL's default since 1.1).
"""

from __future__ import annotations

VERIFY_FLAGS = 0x8000 | 0x80000
"""`VERIFY_X509_TRUSTED_FIRST` and `VERIFY_X509_PARTIAL_CHAIN`, by OpenSSL's numbers: nothing here imports `ssl`."""

CIPHERS = "DEFAULT:@SECLEVEL=2"
"""Cipher suites of a client, in OpenSSL's words: Python's own list depends on who built it. At level 2 keys and
signatures have 112 bits of security: RSA of 2,048 bits, and no signature by SHA-1 but that of an anchor, which is not
verified."""
