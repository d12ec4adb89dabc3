"""Dovecot's configuration, in the language of 2.3 (Debian 12) and in that of 2.4 (Debian 13).

`_COMMON` has the settings that both have; a `_Language` has what they write otherwise.
"""

from __future__ import annotations

import getpass
import grp
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

MAIL_ACCOUNT = "mail"
"""Debian's own account for mail; as root, Dovecot drops to it to touch a mailbox."""


@dataclass(frozen=True)
class _Language:
    """What one version writes otherwise than the other.

    Attributes:
        first: What must come before everything else.
        unlimited_clients: The setting by which a process serves any number of clients.
        settings: Certificate, passwords, mailboxes and quota.
        oauth: How tokens are checked.
        oauth_file: The contents of `oauth2.conf`, where that is a file of its own.
    """

    first: str
    unlimited_clients: str
    settings: str
    oauth: str
    oauth_file: str = ""


def version(program: str) -> tuple[int, int]:
    """Return the first two numbers of Dovecot's version."""
    printed = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    major, minor = re.findall(r"\d+", printed)[:2]
    return int(major), int(minor)


def files(program: str, values: Mapping[str, object], *, with_tokens: bool) -> dict[str, str]:
    """Return the files of a configuration by their names, in the language of this Dovecot.

    Args:
        program: Dovecot itself.
        values: What is put into the templates: `directory`, `listen`, `certificate`, `key`, `passwords`, `quota` in
            KiB, `auth_socket`, the ports; with tokens also `ca_file` and `url`.
        with_tokens: whether it takes tokens as well as passwords.
    """
    language = _2_4 if version(program) >= (2, 4) else _2_3
    if os.geteuid() == 0:
        accounts = _AS_ROOT.format(mail=MAIL_ACCOUNT)
    else:
        accounts = _AS_USER.format(user=getpass.getuser(), group=grp.getgrgid(os.getegid()).gr_name)
    main = _COMMON.format(
        **values,
        first=language.first,
        unlimited_clients=language.unlimited_clients,
        settings=language.settings.format(**values),
        oauth=language.oauth.format(**values) if with_tokens else "",
        oauth_mechanisms=" xoauth2 oauthbearer" if with_tokens else "",
        accounts=accounts,
    )
    found = {"dovecot.conf": main, "junk.sieve": _SIEVE}
    if with_tokens and language.oauth_file:
        found["oauth2.conf"] = language.oauth_file.format(**values)
    return found


_SIEVE = """
require "fileinto";
# What a filter in front of it says.
if header :contains "X-Spam" "yes" {
  fileinto "Junk";
}
"""

_AS_ROOT = """
default_internal_user = dovecot
default_login_user = dovenull
mail_uid = {mail}
mail_gid = {mail}
first_valid_uid = 1
"""

# Nobody but root may change to another user or to another root directory.
_AS_USER = """
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 1
first_valid_gid = 1
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
}}
service pop3-login {{
  chroot =
}}
service stats {{
  chroot =
}}
service lmtp {{
  user = {user}
}}
service auth {{
  user = {user}
}}
service auth-worker {{
  user = {user}
}}
service doveadm {{
  user = {user}
}}
"""

_COMMON = """{first}
base_dir = {directory}/run
state_dir = {directory}/state
instance_name = gmail-exporter-tests
protocols = imap pop3 lmtp
listen = {listen}
{accounts}

log_path = {directory}/dovecot.log
log_timestamp = "%F %T.%{{usecs}} "
info_log_path =
debug_log_path =
auth_debug = yes
auth_verbose = yes

ssl = required
auth_mechanisms = plain login{oauth_mechanisms}
# Every login asks again: what was revoked a moment ago is refused now.
auth_cache_size = 0
{settings}
{oauth}

namespace inbox {{
  inbox = yes
  mailbox Sent {{
    auto = subscribe
    special_use = \\Sent
  }}
  mailbox Trash {{
    auto = subscribe
    special_use = \\Trash
  }}
  mailbox Junk {{
    auto = subscribe
    special_use = \\Junk
  }}
  mailbox Drafts {{
    auto = subscribe
    special_use = \\Drafts
  }}
}}

# A refused login answers at once, and refusals of the past slow nobody down.
auth_failure_delay = 0
mail_max_userip_connections = 1000
mail_fsync = never
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}

# One process serves all clients of a protocol: no fork in the middle of a measurement.
service imap-login {{
  {unlimited_clients}
  process_min_avail = 1
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  {unlimited_clients}
  process_min_avail = 1
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
service imap {{
  process_min_avail = 1
}}
service pop3 {{
  process_min_avail = 1
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
service auth {{
  unix_listener {auth_socket} {{
    mode = 0666
  }}
}}
"""

# A refusal waits for half a second, whatever auth_failure_delay says, unless a passdb says "nodelay" and is believed.
# It comes first: a token that a later one refuses gets its challenge only where that is the last.
_2_3 = _Language(
    first="",
    unlimited_clients="service_count = 0",
    settings="""
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = yes

passdb {{
  driver = static
  args = nopassword=y nodelay=y
  result_success = continue-fail
}}
passdb {{
  driver = passwd-file
  mechanisms = plain login
  args = scheme=PLAIN username_format=%u {passwords}
}}
userdb {{
  driver = static
  args = home={directory}/mail/%u
}}

mail_location = maildir:~/Maildir
mail_plugins = quota
protocol imap {{
  mail_plugins = quota imap_quota
}}
protocol lmtp {{
  mail_plugins = quota sieve
}}
plugin {{
  sieve_before = {directory}/junk.sieve
  quota = count:User quota
  quota_rule = *:storage={quota}K
  quota_grace = 0
  quota_vsizes = yes
}}
""",
    oauth="""
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {directory}/oauth2.conf
}}
""",
    oauth_file="""
tokeninfo_url = {url}
username_attribute = email
scope = https://mail.google.com/
tls_ca_cert_file = {ca_file}
timeout_msecs = 5000
""",
)

_2_4 = _Language(
    first="dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0",
    unlimited_clients="restart_request_count = unlimited",
    settings="""
ssl_server_cert_file = {certificate}
ssl_server_key_file = {key}
auth_allow_cleartext = no

passdb static {{
  fields {{
    nopassword = y
    nodelay = y
  }}
  result_success = continue-fail
}}
passdb passwd-file {{
  mechanisms_filter = plain login
  default_password_scheme = PLAIN
  passwd_file_path = {passwords}
}}
userdb static {{
  fields {{
    home = {directory}/mail/%{{user}}
  }}
}}

mail_driver = maildir
mail_path = ~/Maildir
mail_plugins {{
  quota = yes
}}
protocol imap {{
  mail_plugins {{
    imap_quota = yes
  }}
}}
protocol lmtp {{
  mail_plugins {{
    sieve = yes
  }}
}}
sieve_script junk {{
  type = before
  path = {directory}/junk.sieve
}}
quota "User quota" {{
  storage_size = {quota}K
  storage_grace = 0
}}
""",
    oauth="""
oauth2 {{
  introspection_mode = auth
  tokeninfo_url = {url}
  username_attribute = email
  scope = https://mail.google.com/
  ssl_client_ca_file = {ca_file}
  http_client_request_absolute_timeout = 5 secs
}}
# The mechanisms ask about the token themselves; whom it names must then be known to a passdb.
passdb tokens {{
  driver = static
  mechanisms_filter = xoauth2 oauthbearer
  fields {{
    nopassword = y
  }}
}}
""",
)
