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

    `blame` is the party at fault; where the reason of a failure decides, its own blame counts in its place.
    """

    blame: Blame
    label: str
    remedy: str

    # fmt: off
    PROVIDER_DOWN = "provider_down", Blame.PROVIDER, \
        "{provider} is at fault", \
        "Nothing is to be repaired here: tell {provider} if it is yours to tell, and wait."
    PORT_BLOCKED = "port_blocked", Blame.NETWORK, \
        "the port is blocked on the way", \
        "Look for the firewall that blocks this port, at the last hop of the path that answers and behind it."
    NETWORK_DOWN = "network_down", Blame.NETWORK, \
        "our network is down", \
        "Look at this host's link, its route and its router, then at the internet provider's line."
    RESOLVER_FAILING = "resolver_failing", Blame.NETWORK, \
        "our resolver fails", \
        "Look at the name servers in /etc/resolv.conf, or name others there."
    INTERCEPTED = "intercepted", Blame.NETWORK, \
        "something in between answers in place of {provider}", \
        "Find what answers: a proxy, an antivirus or a captive portal. Enter no password here until it is known."
    ADDRESS_DOWN = "address_down", Blame.PROVIDER, \
        "one address of the server is at fault", \
        "Nothing is to be repaired here: other addresses of the name answer, and clients that try again reach those."
    ACCOUNT = "account", Blame.ACCOUNT, \
        "the account is at fault", \
        "Do what the reason says: the account, its owner or its administrator can end this."
    TOKEN = "token", Blame.TOKEN, \
        "the OAuth grant is at fault", \
        "Do what the reason says: the OAuth client or its grant can end this."
    EXPORTER = "exporter", Blame.CLIENT, \
        "this exporter or its host is at fault", \
        "Do what the reason says, on the host of this exporter."
    UNKNOWN = "unknown", Blame.UNKNOWN, \
        "whose fault it is is not known", \
        "Compare from another network; name controls in the section verdict of the configuration, for more evidence."
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

    def __str__(self) -> str:
        return f"{self.sentence}; {self.also}" if self.also else self.sentence


def server_of(endpoint: Endpoint) -> str:
    """Return the name of an endpoint's server in a sentence: Google's IMAP, or the IMAP server HOST:PORT."""
    protocol = endpoint.protocol.value.upper()
    if provider_of(endpoint.host) == GOOGLE:
        return f"{GOOGLE}'s {protocol}"
    return f"the {protocol} server {Address(endpoint.host, endpoint.port)}"
