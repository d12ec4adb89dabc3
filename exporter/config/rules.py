"""Rules across several keys: what must fit together, and what follows from other keys.

Each function checks one section that was read. It reports what does not fit, at the key that an operator would change,
and adds the values of keys that are not given.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from exporter.config.deliveries import check_deliveries
from exporter.config.duration import format_duration
from exporter.config.mistake import NOWHERE, unknown_name
from exporter.config.nodes import MappingNode
from exporter.config.schema import DEFAULTS
from exporter.config.section import Section
from exporter.config.server_tls import CIPHERS, ClientAuth, Version
from exporter.model.address import is_ip_address
from exporter.model.evidence import ControlKind
from exporter.model.mailbox import Mailbox
from exporter.model.settings import PORT_OF_EXCHANGES, PORTS, IpFamily, MechanismChoice, Protocol, Role, Security

Accounts = Mapping[str, Section | None]
"""The accounts of a file by name, those with mistakes too: a reference to one of them is no mistake."""

_CREDENTIALS = ("app_password", "oauth2", "service_account")
_OF_DOMAINS = ("expect", "expect_mta_sts", "trusted_resolvers")
_OAUTH = frozenset({MechanismChoice.XOAUTH2, MechanismChoice.OAUTHBEARER})


def check_configuration(root: Section) -> None:
    """Check a whole configuration file."""
    defaults = root.get("defaults") or Section(DEFAULTS, root.report, MappingNode(NOWHERE, {}))
    accounts: Accounts = root.get("accounts") or {}
    for account in accounts.values():
        if account is not None:
            check_account(account)
    for section, check in (("endpoints", check_endpoint), ("modules", check_module)):
        named = root.get(section)
        for one in (named or {}).values():
            if one is not None:
                check(one, defaults, accounts)
        if named is not None and not named:
            root.wrong(section, f"must hold at least one {section.removesuffix('s')}", at_value=False)
    if (verdict := root.get("verdict")) is not None:
        check_verdict(verdict)
    check_deliveries(root.get("deliveries") or {}, root.get("endpoints") or {}, accounts)
    if not (root.given_or_misspelt("endpoints") or root.given_or_misspelt("modules")):
        root.missing("endpoints", "is missing: at least one endpoint is needed")


def check_plans(root: Section, mailboxes: Iterable[Mailbox]) -> None:
    """Check that a day's logins of each mailbox are enough for one at each of its endpoints."""
    for mailbox in mailboxes:
        needed, most = len(mailbox.plan.intervals), mailbox.max_logins_per_day
        if needed > most:
            lowest = min(mailbox.accounts, key=lambda account: account.max_logins_per_day)
            account: Section = root.get("accounts")[lowest.name]
            report = account.wrong if account.given("max_logins_per_day") else account.missing
            report(
                "max_logins_per_day",
                f"must be at least {needed}, not {most}: one login a day at each endpoint of the mailbox, and for each "
                "address family where ip_family is both",
            )


def check_account(account: Section) -> None:
    """Check that an account has exactly one credential."""
    given = _credentials(account)
    if len(given) != 1 and (given or not any(map(account.given_or_misspelt, _CREDENTIALS))):
        found = f"has {' and '.join(given)}" if given else "has no credential"
        account.report.add(account.at, account.path, f"{found}; exactly one of {', '.join(_CREDENTIALS)} is needed")


def check_endpoint(endpoint: Section, defaults: Section, accounts: Accounts) -> None:
    """Check an endpoint."""
    _check_place(endpoint)
    _check_session(endpoint, accounts)
    interval, timeout = _effective(endpoint, defaults, "interval"), _effective(endpoint, defaults, "timeout")
    login_interval = _effective(endpoint, defaults, "login_interval")
    _effective(endpoint, defaults, "ip_family")
    _effective(endpoint, defaults, "addresses")
    _effective(endpoint, defaults, "trusted_resolvers")
    _check_client_name(endpoint, defaults)
    _check_greeting(endpoint, interval, timeout)
    if interval is not None and timeout is not None and timeout >= interval:
        _contradict(endpoint, defaults, ("timeout", "shorter than", timeout), ("interval", "longer than", interval))
    if interval is not None and login_interval is not None and login_interval < interval:
        if not endpoint.given("login_interval") and not defaults.given("login_interval"):
            endpoint.values["login_interval"] = interval
        elif endpoint.given("account"):
            its, other = ("login_interval", "at least", login_interval), ("interval", "at most", interval)
            _contradict(endpoint, defaults, its, other)


def _check_place(endpoint: Section) -> None:
    """Check that there is a host, or a domain with what mail exchanges have."""
    if not endpoint.given("domain"):
        if not endpoint.given_or_misspelt("host") and not endpoint.given_or_misspelt("domain"):
            endpoint.missing("host")
        for key in _OF_DOMAINS:
            if endpoint.given(key):
                endpoint.wrong(key, "has a meaning only with domain", at_value=False)
        return
    _check_domain(endpoint)
    # In one order, so that another order in the file is no change.
    endpoint.values["expect"] = tuple(sorted(endpoint.get("expect") or ()))


def _check_domain(endpoint: Section) -> None:
    """Check that nothing is said of a domain that mail exchanges do not have; their port is 25 by default."""
    if not endpoint.given("port"):
        endpoint.values["port"] = PORT_OF_EXCHANGES
    if endpoint.given("host"):
        endpoint.wrong("host", "must not be said with domain, whose exchanges the DNS names", at_value=False)
    if endpoint.get("protocol") not in {None, Protocol.SMTP}:
        endpoint.wrong("protocol", "must be smtp with domain: mail exchanges speak no other")
    if endpoint.given("account"):
        endpoint.wrong("account", "must not be said with domain: nobody logs in to mail exchanges")
    if endpoint.get("security") not in {None, Security.STARTTLS}:
        endpoint.wrong("security", "must be starttls with domain, as servers speak it to mail exchanges")
    elif not endpoint.given("security"):
        endpoint.values["security"] = Security.STARTTLS
    if "domain" in (endpoint.get("labels") or ()):
        endpoint.wrong(
            "labels", "must not have domain with domain, whose metrics have that label already", at_value=False
        )
    if (tls := endpoint.get("tls")) is not None and tls.given("server_name"):
        tls.wrong("server_name", "has no meaning with domain: each exchange has a name of its own", at_value=False)


def _check_greeting(endpoint: Section, interval: float | None, timeout: float | None) -> None:
    """Check that a greeting's own deadline leaves the probe within its interval."""
    greeting = endpoint.get("greeting_timeout")
    if greeting is None:
        return
    if endpoint.get("protocol") not in {None, Protocol.SMTP}:
        endpoint.wrong("greeting_timeout", "has a meaning only with protocol: smtp", at_value=False)
    elif interval is not None and timeout is not None and timeout < interval <= timeout + greeting:
        left = format_duration(interval - timeout)
        endpoint.wrong("greeting_timeout", f"must be shorter than the interval without the timeout, {left}")


def check_module(module: Section, defaults: Section, accounts: Accounts) -> None:
    """Check a module. It has no interval, because the client decides on that; one probe is of one address family."""
    if module.get("domain"):
        _check_domain(module)
    _check_session(module, accounts)
    _effective(module, defaults, "timeout")
    _effective(module, defaults, "login_interval")
    _check_client_name(module, defaults)
    if _effective(module, defaults, "ip_family") is IpFamily.BOTH:
        module.values["ip_family"] = IpFamily.ANY
    if module.given("account"):
        if not module.given_or_misspelt("allow_hosts"):
            module.missing("allow_hosts", "is missing: an account logs in only to hosts that are named there")
        elif module.get("allow_hosts") == () and not module.items("allow_hosts"):
            module.wrong("allow_hosts", "must name a host at which the account logs in")


def _check_session(session: Section, accounts: Accounts) -> None:
    """Check what endpoints and modules have in common: protocol, security, login, folders."""
    protocol, security = session.get("protocol"), session.get("security")
    if not session.given("security"):
        security = Security.TLS
    if protocol is not None and security is not None and "port" not in session.values and not session.given("port"):
        session.values["port"] = PORTS[protocol, security]
    if (name := session.get("account")) is not None and name not in accounts:
        session.wrong("account", unknown_name("account", name, accounts))
    if security is Security.NONE:
        if session.given("account"):
            session.wrong(
                "account", "must not be said with security: none, which would send its secret for all to read"
            )
        if session.given("tls"):
            session.wrong("tls", "has no meaning with security: none", at_value=False)
    _check_tls(session.get("tls"))
    _check_mechanism(session, accounts)
    if session.items("folders"):
        if protocol is not None and protocol is not Protocol.IMAP:
            session.wrong("folders", f"only imap has folders, {protocol} has none", at_value=False)
        elif not session.given_or_misspelt("account"):
            session.wrong("folders", "needs an account to log in with: folders are seen after login", at_value=False)
        # In one order, so that another order in the file is no change.
        session.values["folders"] = tuple(role for role in Role if role in session.values["folders"])


def _check_tls(tls: Section | None) -> None:
    if tls is not None and tls.get("public_root") and tls.given("ca_file"):
        text = "must not be said with ca_file, which says which authorities are meant"
        tls.wrong("public_root", text, at_value=False)


def check_verdict(verdict: Section) -> None:
    """Check what is contacted for evidence: a neutral control is one that needs no name."""
    for control in (verdict.get("controls") or {}).values():
        host = control and control.get("host")
        if host and control.get("kind") is ControlKind.NEUTRAL and not is_ip_address(host):
            control.wrong("host", "must be an IP address with kind: neutral: it must answer while no name resolves")


def _check_client_name(session: Section, defaults: Section) -> None:
    protocol = session.get("protocol")
    if protocol is Protocol.SMTP:
        _effective(session, defaults, "client_name")
    elif protocol is not None and session.given("client_name"):
        session.wrong("client_name", f"only smtp has EHLO, {protocol} has not")


def _check_mechanism(session: Section, accounts: Accounts) -> None:
    mechanism = session.get("mechanism")
    if mechanism is None or mechanism is MechanismChoice.AUTO:
        return
    if not session.given_or_misspelt("account"):
        session.wrong("mechanism", "needs an account to log in with")
    elif (account := accounts.get(session.get("account"))) is not None:
        given, is_oauth = _credentials(account), mechanism in _OAUTH
        if len(given) == 1 and is_oauth is (given == ["app_password"]):
            kinds = "oauth2 or service_account" if is_oauth else "app_password"
            session.wrong("mechanism", f"{mechanism} needs an account with {kinds}")


def _credentials(account: Section) -> list[str]:
    return [key for key in _CREDENTIALS if account.given(key)]


def _effective(section: Section, defaults: Section, key: str) -> Any:
    """Return the value of a key, else that of the file's defaults, else the built-in one; None for a mistake."""
    if not section.given(key):
        section.values[key] = defaults.get(key) if defaults.given(key) else section.table.defaults[key]
    return section.get(key)


def _contradict(
    endpoint: Section, defaults: Section, one: tuple[str, str, float], other: tuple[str, str, float]
) -> None:
    """Report two durations that do not fit: at the endpoint's own key, else at that of the defaults, `one` first.

    The built-in durations fit: at least one of the two is given.
    """
    section, key, relation, (its, _, value) = next(
        (section, key, relation, counterpart)
        for section in (endpoint, defaults)
        for (key, relation, _), counterpart in ((one, other), (other, one))
        if section.given(key)
    )
    section.wrong(key, f"must be {relation} the {its}, {format_duration(value)}")


def check_tls_server(tls: Section) -> None:
    """Check a `tls_server_config`: no setting may be without effect."""
    certificate, key = tls.get("cert_file"), tls.get("key_file")
    if certificate is not None and key is not None and certificate.public_key != key.public_key:
        tls.wrong("key_file", "is not the key of the certificate in cert_file")
    least, most = tls.get("min_version") or Version.TLS12, tls.get("max_version") or Version.TLS13
    if least > most:
        tls.wrong("max_version", "must not be older than min_version")
    ciphers = tls.get("cipher_suites")
    if ciphers and CIPHERS.keys().isdisjoint(ciphers) and least is Version.TLS12:
        tls.wrong("cipher_suites", "holds none of TLS 1.2: add one, or say min_version: TLS13", at_value=False)
    auth = tls.get("client_auth_type") if tls.given("client_auth_type") else ClientAuth.NONE
    if auth is not None:
        _check_client_auth(tls, auth)


def _check_client_auth(tls: Section, auth: ClientAuth) -> None:
    if auth is ClientAuth.NONE:
        if tls.given("client_ca_file"):
            missing = "needs client_auth_type: without it no certificate is asked for"
            useless = f"means nothing with client_auth_type: {auth}"
            tls.wrong("client_ca_file", useless if tls.given_or_misspelt("client_auth_type") else missing)
    elif not tls.given_or_misspelt("client_ca_file"):
        tls.wrong("client_auth_type", "needs client_ca_file: whose certificates are to be taken?")
    if tls.given("client_allowed_sans") and auth is not ClientAuth.REQUIRED:
        # A client without a certificate has no name that could be allowed or not.
        tls.wrong("client_allowed_sans", f"needs client_auth_type: {ClientAuth.REQUIRED}", at_value=False)
