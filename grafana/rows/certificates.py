"""Are certificates valid, and which versions of TLS and IP are used?"""

from __future__ import annotations

from grafana import links, style
from grafana.panels import About, Builder, Column, Query, Size, bars, number, rows
from grafana.queries import IDENTITY, endpoint, over, selector, with_account

TITLE = "TLS and IP: are certificates valid, and does IPv6 work?"

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
                "For how long is the certificate valid that expires first?",
                "Of the servers' own certificates, also of those that were refused. Google's are valid for twelve "
                "weeks and are replaced every week.",
                "below three weeks, replacements were missed. At your own server, renew it; at Google's, compare the "
                "fingerprint to see which host really answers.",
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
                "see the reason at the top. Treat a certificate for another name or of an unknown issuer as "
                "interception, unless you know better.",
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
                "Endpoints with `ip_family: any` where IPv6 did not connect and the probe fell back to IPv4. Mail "
                "clients do the same, and wait each time.",
                "fix this site's route to IPv6, or remove it. To monitor both, set `ip_family: both`.",
            ),
            Size(5, 5),
            Query(f"sum({endpoint('gmail_probe_ip_fallback')})"),
            unit="none",
            steps=style.ANY_IS_DOUBTFUL,
            words=style.NONE,
            decimals=0,
            no_value="No endpoint may choose",
        ),
        number(
            About(
                "Dead addresses",
                "Is an address of a name dead while another one serves?",
                "Addresses that do not connect, of endpoints with `addresses: all`. Without it a dead address is "
                "passed over, and not counted.",
                "ask who runs the server to repair the address, or to remove it from the DNS: mail clients wait for "
                "it.",
            ),
            Size(5, 5),
            Query(f"sum({endpoint('gmail_addresses')} - {endpoint('gmail_addresses_up')})"),
            unit="none",
            steps=style.ANY_IS_DOUBTFUL,
            words=style.NONE,
            decimals=0,
            no_value="None is counted",
        ),
        number(
            About(
                "Lost on dead addresses",
                "How long do mail clients wait for an address that does not connect?",
                "The longest time that a probe lost, in the chosen time, before another address of the name served.",
                "see the endpoint's page for the address.",
            ),
            Size(5, 5),
            Query(f"max({over('max_over_time', 'gmail_connect_lost_seconds', '$__range')})"),
            unit="s",
            steps=style.SECONDS,
            decimals=1,
            no_value="Nothing connected",
        ),
        bars(
            About(
                "TLS versions",
                "Which versions of TLS are used?",
                "Endpoints by the version agreed on. Google uses TLS 1.3.",
                "an older version with Google means that a device in between intercepts TLS.",
            ),
            Size(12, 5),
            Query(f"count by (version) ({endpoint('gmail_tls_info')})", "{{version}}"),
            unit="none",
        ),
        bars(
            About(
                "IP versions",
                "Over which version of IP are servers reached?",
                "Endpoints by the version of IP of their last probe.",
                "if this changes and nobody changed the configuration, routes or the resolver did change.",
            ),
            Size(12, 5),
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
            "Which certificate does each server present, and until when is it valid?",
            "The one that expires first is at the top. “Chain” is the earliest expiry of all certificates that the "
            "server sent. Google's are issued by Google Trust Services.",
            "treat an issuer that you do not know, or a fingerprint that differs from another instance's at the same "
            "time, as interception, unless you know better.",
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
