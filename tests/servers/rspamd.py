"""Debian's rspamd as the milter of Postfix: it signs what is submitted, and judges what is received."""

from __future__ import annotations

import base64
import os
import pwd
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.servers.process import Process, Server, ServerError, find_program, is_listening

if TYPE_CHECKING:
    from tests.servers.bind import Bind

ACCOUNT: Final = "_rspamd"
"""Debian's own account for it; as root, rspamd drops to it."""

DOMAIN: Final = "example.com"
KEY_NAME: Final = f"key._domainkey.{DOMAIN}"
"""Where a verifier looks for the public key (RFC 6376 §3.6.2.1): `key` is the selector."""

SPAM: Final = "YJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
"""The form of GTUBE that rspamd marks with `X-Spam: Yes`; it refuses a message with the usual one."""


def key_pair() -> tuple[bytes, str]:
    """Return a private key in PEM, and the TXT record with its public key (RFC 6376 §3.6.1)."""
    private = generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"
    record = " ".join(f'"{text[begin : begin + 255]}"' for begin in range(0, len(text), 255))
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), record


class Rspamd(Server):
    """One rspamd at a port of 127.0.0.1, which asks this name server, and needs no database.

    It signs for example.com what a client submits after a login. It checks SPF, DKIM and DMARC of everything else, and
    writes what it finds into Authentication-Results (RFC 8601), in the name of the server whose milter it is. On return
    from `start`, that name server has its public key, and a DMARC policy.
    """

    def __init__(self, port: int, bind: Bind) -> None:
        self.program = find_program("rspamd", "rspamd")
        self.port, self._bind = port, bind
        self.directory = Path(tempfile.mkdtemp(prefix="rspamd-"))
        self.log_file = self.directory / "log"
        self._key, self._record = key_pair()
        self._other_key, _ = key_pair()
        (self.directory / "key.pem").write_bytes(self._key)
        (self.directory / "domains").write_text("com\n", "utf-8")
        (self.directory / "rspamd.conf").write_text(self._configuration(), "utf-8")
        if os.geteuid() == 0:
            account = pwd.getpwnam(ACCOUNT)
            for path in (self.directory, *self.directory.iterdir()):
                os.chown(path, account.pw_uid, account.pw_gid)

    def start(self) -> None:
        """As every server does."""
        if self._process is not None:
            raise ServerError("rspamd runs already")
        self._bind.put(KEY_NAME, "TXT", self._record)
        self._bind.put(f"_dmarc.{DOMAIN}", "TXT", '"v=DMARC1; p=none"')
        account = ["-u", ACCOUNT, "-g", ACCOUNT] if os.geteuid() == 0 else []
        argv = [self.program, "-f", *account, "-c", str(self.directory / "rspamd.conf")]
        process = Process(argv, output=self.directory / "output")
        process.wait_until(lambda: is_listening(self.port), log=self.log_text)
        self._process = process

    def stop(self) -> None:
        """As every server does."""
        if self._process is not None:
            self._process.stop(grace=0.2)
            self._process = None

    def sign(self, *, with_right_key: bool) -> None:
        """Sign from now on with the key whose public half is in the DNS, or with another one."""
        file = self.directory / "key.pem"
        # rspamd keeps a key for as long as its file has the same time, in whole seconds.
        changed = int(file.stat().st_mtime) + 1
        file.write_bytes(self._key if with_right_key else self._other_key)
        os.utime(file, (changed, changed))

    def _configuration(self) -> str:
        names = ("dkim_signing", "milter_headers", "spf", "dmarc")
        modules = "\n".join(f'path = "/usr/share/rspamd/plugins/{name}.lua";' for name in names)
        # It reads the languages of the world and all top-level domains when it starts, unless it is given fewer.
        return f"""
options {{
  tempdir = "{self.directory}";
  pidfile = "{self.directory}/pid";
  control_socket = "{self.directory}/control mode=0600";
  cache_file = "{self.directory}/cache";
  hs_cache_dir = "{self.directory}/";
  url_tld = "{self.directory}/domains";
  disable_hyperscan = true;
  disable_monitoring = true;
  filters = "dkim";
  local_addrs = [];
  # Which of the two turns on the forms of GTUBE depends on the version.
  enable_test_patterns = true;
  gtube_patterns = "all";
  dns {{ nameserver = ["{self._bind.address}"]; timeout = 2s; }}
}}
lang_detection {{ languages = "{self.directory}"; }}
logging {{ type = "file"; filename = "{self.log_file}"; level = "info"; }}
worker "rspamd_proxy" {{
  bind_socket = "127.0.0.1:{self.port}";
  milter = yes;
  count = 1;
  spam_header = "X-Spam";
  upstream "local" {{ default = yes; self_scan = yes; }}
}}
modules {{ {modules} }}
metric {{ actions {{ add_header = 6; }} }}
dkim {{ check_local = true; check_authed = false; }}
spf {{ check_local = true; check_authed = false; }}
dmarc {{ check_local = true; check_authed = false; }}
dkim_signing {{
  sign_authenticated = true;
  sign_local = false;
  sign_inbound = false;
  allow_username_mismatch = true;
  use_domain = "header";
  domain {{ {DOMAIN} {{ selector = "{KEY_NAME.partition(".")[0]}"; path = "{self.directory}/key.pem"; }} }}
}}
milter_headers {{ use = ["authentication-results"]; skip_local = false; skip_authenticated = true; }}
"""
