"""Are certificates in order, and over which TLS and IP is Gmail reached?"""

from __future__ import annotations

from grafana import links, style
from grafana.panels import About, Builder, Column, Query, Size, bars, number, rows
from grafana.queries import IDENTITY, endpoint, selector, with_account

TITLE = "TLS and IP: are certificates in order, and is IPv6?"

_LEAF = "gmail_tls_certificate_expiry_timestamp_seconds"
_TLS = 'check="tls"'
_CHAIN = "gmail_tls_chain_expiry_timestamp_seconds"


def panels() -> list[Builder]:
    """From left to right, from top to bottom."""
    return [*_numbers(), _certificates()]


def _numbers() -> list[Builder]:
    return [
        number(
            About(
                "Next certificate expires in",
                "How long is the certificate valid that expires first?",
                "Of the servers' own certificates, also of those that were refused. Google's live twelve weeks and are "
                "replaced weeks before their end.",
                "below three weeks a rotation was missed: of your own server, renew; of Google's, see the fingerprint "
                "for who really answers.",
            ),
            Size(5, 5),
            Query(f"min({endpoint(_LEAF)} - time())"),
            unit="dtdurations",
            steps=style.EXPIRY,
            decimals=1,
            no_value="No TLS was seen",
        ),
        number(
            About(
                "Not secured",
                "How many connections could not be secured?",
                "Endpoints whose last handshake or certificate check failed. No password is ever sent there.",
                "see the reason at the top. A certificate for another name or of an unknown issuer is interception, "
                "until shown otherwise.",
            ),
            Size(4, 5),
            Query(f"sum(1 - {endpoint('gmail_check_success', _TLS)})"),
            unit="none",
            steps=style.ANY_IS_BAD,
            words=style.NONE,
            decimals=0,
            no_value="No TLS was tried",
        ),
        number(
            About(
                "IPv6 fails, IPv4 serves",
                "Is IPv6 broken without anyone noticing?",
                "Endpoints with `ip_family: any` where IPv6 failed to connect and IPv4 served, as in a mail client, "
                "which waits for it each time.",
                "mend this site's route to IPv6, or withdraw it. To watch both, set `ip_family: both`.",
            ),
            Size(5, 5),
            Query(f"sum({endpoint('gmail_probe_ip_fallback')})"),
            unit="none",
            steps=style.ANY_IS_DOUBTFUL,
            words=style.NONE,
            decimals=0,
            no_value="No endpoint may choose",
        ),
        bars(
            About(
                "TLS versions",
                "Which versions of TLS are spoken?",
                "Endpoints by the version agreed on. Google speaks TLS 1.3.",
                "an older version to Google means that something in between ends TLS.",
            ),
            Size(5, 5),
            Query(f"count by (version) ({endpoint('gmail_tls_info')})", "{{version}}"),
            unit="none",
        ),
        bars(
            About(
                "IP versions",
                "Over which IP are servers reached?",
                "Endpoints by the version of IP of their last probe.",
                "a change that nobody made is a change of routes or of the resolver.",
            ),
            Size(5, 5),
            Query(f'count_values("version", {endpoint("gmail_probe_ip_protocol")})', "IPv{{version}}"),
            unit="none",
        ),
    ]


def _certificates() -> Builder:
    issued = f"{selector('gmail_tls_info')} * on ({IDENTITY}) group_left () ({selector(_LEAF)} - time())"
    chain = f"{selector('gmail_tls_info')} * on ({IDENTITY}) group_left () ({selector(_CHAIN)} - time())"
    return rows(
        About(
            "Certificates",
            "Whose certificate does each server present, and until when is it valid?",
            "The one that expires first is first. “Chain” is the earliest end of all certificates that the server "
            "sent. The issuer of Google's is Google Trust Services.",
            "an issuer that you do not know, or a fingerprint that differs from another instance's at the same time, "
            "is interception until shown otherwise.",
        ),
        Size(24, 8),
        Column(
            "Expires in",
            expression=with_account(issued),
            unit="dtdurations",
            steps=style.EXPIRY,
            decimals=1,
            width=150,
        ),
        Column("Chain", expression=with_account(chain), unit="dtdurations", steps=style.EXPIRY, decimals=1, width=150),
        Column("Endpoint", "endpoint", links=links.of_endpoint()),
        Column("Host", "host"),
        Column("Port", "port", width=70),
        Column("IP", "ip_family", width=60),
        Column("Seen by", "instance", links=[links.status_page()]),
        Column("TLS", "version", width=80),
        Column("Cipher", "cipher"),
        Column("Issuer", "issuer"),
        Column("SHA-256", "fingerprint_sha256"),
        sort="Expires in",
        no_value="No TLS was seen",
    )
