"""Whose fault an outage is: the verdict, from the evidence.

The reason of a failure says what was seen; a verdict says what that means, and is `unknown` where it means nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from exporter.model.address import Address
from exporter.model.enumeration import TableEnum
from exporter.model.reason import GOOGLE, Blame, provider_of
from exporter.model.settings import Endpoint


class Verdict(TableEnum):
    """What the evidence shows. `label` is it in a few words, `remedy` what to do next; both are templates for `fill`.

    `blame` is the party at fault; where the reason of a failure decides, its own blame counts in its place. A remedy is
    short enough for a telephone: at most 105 characters. Some grounds have a remedy of their own (`remedy.OF_GROUND`).
    """

    blame: Blame
    label: str
    remedy: str

    # fmt: off
    PROVIDER_DOWN = "provider_down", Blame.PROVIDER, \
        "{provider} is at fault", \
        "Repair nothing. See {provider}'s status page. Users: wait, change no password, reinstall nothing."
    PORT_BLOCKED = "port_blocked", Blame.NETWORK, \
        "the port is blocked on the way", \
        "Find the firewall where the path ends, and let the port through. Until then: webmail or a mobile network."
    NETWORK_DOWN = "network_down", Blame.NETWORK, \
        "our network is down", \
        "Look at the host's link, its router, then the internet provider's line. Change nothing about accounts."
    RESOLVER_FAILING = "resolver_failing", Blame.NETWORK, \
        "our resolver fails", \
        "Look at the name servers in /etc/resolv.conf of the exporter's host, or name others there."
    INTERCEPTED = "intercepted", Blame.NETWORK, \
        "something in between answers in place of {provider}", \
        "Find the proxy or antivirus with this issuer, and exempt the server. Type no password until then."
    ADDRESS_DOWN = "address_down", Blame.PROVIDER, \
        "one address of the server is at fault", \
        "Repair nothing here: other addresses of the name answer. Tell users to try again; tell the provider."
    ACCOUNT = "account", Blame.ACCOUNT, \
        "the account is at fault", \
        "Do what the reason says: the account, its owner or its administrator can end this."
    TOKEN = "token", Blame.TOKEN, \
        "the OAuth grant is at fault", \
        "Do what the reason says: the OAuth client or its grant can end this."
    EXPORTER = "exporter", Blame.CLIENT, \
        "this exporter or its host is at fault", \
        "Do what the exporter's page says for the reason, on the exporter's host."
    UNKNOWN = "unknown", Blame.UNKNOWN, \
        "it is not known whose fault it is", \
        "Compare from another network. For more evidence, name controls in the configuration (verdict)."
    # fmt: on


class Fact(TableEnum):
    """What evidence can say. `clause` is it in a few words, without a full stop."""

    clause: str

    # fmt: off
    CONNECTED = "connected", "a connection to the server was made"
    NEUTRAL_UP = "neutral_up", "another host of the internet answers"
    NEUTRAL_DOWN = "neutral_down", "no other host that was tried answers"
    NEUTRAL_NEVER = "neutral_never", "no other host that was tried answers, nor did any before"
    NO_NEUTRAL = "no_neutral", "no neutral control says anything"
    SAME_PORT_UP = "same_port_up", "the same port answers at another provider"
    SAME_PORT_DOWN = "same_port_down", "the same port does not answer at another provider, either"
    WEB_UP = "web_up", "the provider's web answers"
    WEB_DOWN = "web_down", "the provider's web does not answer, either"
    NO_ROUTE = "no_route", "this host has no route"
    NO_RESOLVER = "no_resolver", "no name resolves here"
    PATH_SHORT = "path_short", "the path ends before it used to"
    SEVERAL_DOWN = "several_down", "everything of several providers is down"
    BLOCKED_BEFORE_WEB = "blocked_before_web", "port 443 of the same server can be reached"
    REFUSED_AT_WEB = "refused_at_web", "the server itself refuses: as many hops away as port 443 answers"
    REFUSED_NEARER = "refused_nearer", "a device on the way refuses, not the server"
    ON_THIS_HOST = "on_this_host", "the server is on this host"
    RESOLVES_ELSEWHERE = "resolves_elsewhere", "another resolver knows the name"
    RESOLVER_LIES = "resolver_lies", "the resolver gives an address that is not public"
    PORTAL = "portal", "a captive portal answers"
    PRIVATE_ROOT = "private_root", "the certificate's root is trusted only here"
    PUBLIC_ROOT = "public_root", "the certificate's root is public"
    MUST_BE_PUBLIC = "must_be_public", "the server is known to offer TLS"
    CLOCK_WRONG = "clock_wrong", "this host's clock is wrong"
    CLOCK_RIGHT = "clock_right", "this host's clock is right"
    FILES_USED_UP = "files_used_up", "this exporter has no file descriptor left"
    OTHER_ADDRESSES = "other_addresses", "other addresses of the name answer"
    INCIDENT = "incident", "the provider has an open incident"
    # fmt: on


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its grounds."""

    verdict: Verdict
    blame: Blame
    sentence: str
    """The verdict for people, as a clause without a full stop, which "since 09:28" can follow."""
    facts: tuple[str, ...] = ()
    """What it rests on, each a sentence, the most important first."""
    also: str = ""
    """What else is known, as a clause: that the provider has an open incident."""
    because: str = ""
    """What shows it, as a clause that stands in parentheses behind the sentence; "" where the sentence says it."""
    grounds: tuple[Fact, ...] = ()
    """The facts that decided."""

    def __str__(self) -> str:
        return self.told()

    def told(self, since: str = "") -> str:
        """Return all of it as a clause; `since` follows the sentence."""
        because = f" ({self.because})" if self.because else ""
        return f"{self.sentence}{since}{because}{f'; {self.also}' if self.also else ''}"


def server_of(endpoint: Endpoint) -> str:
    """Return the name of an endpoint's server in a sentence: Google's IMAP, or the IMAP server HOST:PORT."""
    protocol = endpoint.protocol.value.upper()
    if provider_of(endpoint.host) == GOOGLE:
        return f"{GOOGLE}'s {protocol}"
    return f"the {protocol} server {Address(endpoint.host, endpoint.port)}"
