"""Every key of the configuration file and of the web configuration file, declared once.

From these tables come the reader, with every mistake, the effective configuration that is printed and its digest, and
the tables of keys in docs/configuration.md and docs/web.md. What must fit together among several keys is in `rules.py`.

A row is a key: its name, its kind, its default, and its meaning. Where the default is "", it is the default of the
settings class, if there is one.
"""

# fmt: off

from dataclasses import replace

from exporter.config import kinds, server_tls
from exporter.config.table import REQUIRED, Key, ListOf, Names, Table, Value
from exporter.model import settings, verdict_settings
from exporter.model.evidence import ControlKind

DEFAULTS = Table(
    settings.Endpoint,
    Key("interval", kinds.duration(1, 86400), "", "the time between two probes of an endpoint"),
    Key("timeout", kinds.duration(0.1), "", "deadline of a whole probe; shorter than the interval"),
    Key("login_interval", kinds.duration(1), "`15m`, or the interval where that is longer",
        "the least time between two logins of an endpoint; with an account, at least the interval. Many endpoints of a "
        "mailbox [log in less often](#the-login-budget). The probes between two logins end before login"),
    Key("ip_family", kinds.choice(settings.IpFamily), "",
        "`any` is IPv6 if this host has a route, and IPv4 if not or if the connect fails; `both` probes each family "
        "as a series of its own"),
    Key("client_name", kinds.CLIENT_NAME, "the literal of the address that connects, as in `[192.0.2.1]`",
        "what SMTP's EHLO says: the DNS name of this host's public address, where a server does not take a literal",
        in_effect=lambda session: session.protocol is settings.Protocol.SMTP),
    Key("addresses", kinds.choice(settings.AddressChoice), "",
        "`first` connects to one address of the name, and to the next one only where that does not connect, to four at "
        "most; `all` connects to each besides, up to 20, and counts them in `gmail_addresses_up`",
        in_effect=lambda endpoint: endpoint.addresses is not settings.AddressChoice.FIRST),
    Key("trusted_resolvers", ListOf("list of IP addresses", kinds.NAME_SERVER, "192.0.2.53", unique=True), "none",
        "name servers of /etc/resolv.conf, besides those on loopback, that are believed when they say that DNSSEC "
        "has verified an answer: DANE of a `domain` rests on it",
        in_effect=lambda endpoint: endpoint.domain is not None),
)

OAUTH2 = Table(
    settings.OAuth2,
    Key("client_id", kinds.IDENTITY, REQUIRED, "the client"),
    Key("client_secret", kinds.SECRET, REQUIRED, "its secret"),
    Key("refresh_token", kinds.SECRET, REQUIRED, "the token that the account's owner granted to it"),
    Key("token_uri", kinds.HTTPS, "", "where access tokens come from"),
)

ACCOUNT = Table(
    settings.Account,
    Key("username", kinds.IDENTITY, REQUIRED, "the user name to log in with, at Gmail the address"),
    Key("app_password", kinds.SECRET, "", "a password for IMAP, POP3 and SMTP"),
    Key("oauth2", OAUTH2, "", "an OAuth client and a refresh token"),
    Key("service_account", kinds.SECRET, "",
        "the JSON key of a service account with domain-wide delegation; its subject is `username`"),
    # More than one in nine seconds is no protection.
    Key("max_logins_per_day", kinds.whole(10_000), "",
        "logins of the account in any 24 hours, over all its endpoints; 80 % of them are [planned](#the-login-budget)"),
    # Google's own limits: 500 for a personal account, 2,000 for one of Workspace.
    Key("max_sends_per_day", kinds.whole(2000), "", "test messages of the account in any 24 hours, over all deliveries",
        in_effect=lambda account: account.max_sends_per_day != settings.MAX_SENDS),
)

TLS = Table(
    settings.Tls,
    Key("ca_file", kinds.CA_FILE, "the system's authorities", "certificates in PEM, at least one, to trust instead"),
    Key("server_name", kinds.HOST, "`host`", "the name that is asked for and that the certificate must have"),
    Key("min_version", kinds.MIN_VERSION, '`"1.2"`', "the oldest version of TLS accepted"),
    Key("public_root", kinds.SWITCH, "`true` at Google's hosts, else `false`",
        "the chain must end in a root that the public trusts, else it is "
        "[intercepted](#who-answers-in-the-servers-place); not with `ca_file`"),
)

_NAME_OF_ACCOUNT = Value("name of an account", kinds.TEXT.read, lambda account: account.name)

_PROTOCOL = Key("protocol", kinds.choice(settings.Protocol), REQUIRED, "the protocol of the server")
_PORT = Key("port", kinds.PORT, "see below", "the port of the server")
_SESSION = (
    Key("security", kinds.choice(settings.Security), "",
        "TLS from the first byte, after STARTTLS (POP3: STLS), or not at all"),
    Key("account", _NAME_OF_ACCOUNT, "no login",
        "who logs in; not with `security: none`"),
    Key("mechanism", kinds.choice(settings.MechanismChoice), "",
        "how to log in; `plain` and `login` need an account with `app_password`, the others one with `oauth2` or "
        "`service_account`",
        in_effect=lambda session: session.account is not None),
    Key("folders", ListOf("list of roles", kinds.choice(settings.Role), "inbox, sent", unique=True), "none",
        "IMAP folders that must be visible after login; needs an account"),
    Key("tls", TLS, "", "how the server is verified; not with `security: none`",
        in_effect=lambda session: session.security is not settings.Security.NONE),
)
_SCHEDULE = tuple(
    replace(key, default="of `defaults`", doc="as in [`defaults`](#defaults)") for key in DEFAULTS.keys.values()
)

_OF_DOMAIN = "; only with `domain`"

ENDPOINT = Table(
    settings.Endpoint,
    _PROTOCOL,
    Key("host", kinds.HOST, "required without `domain`",
        "the server; an IPv6 address without brackets, an internationalized name in its `xn--` form",
        in_effect=lambda endpoint: endpoint.domain is None),
    Key("domain", kinds.DOMAIN, "none",
        "a mail domain in place of `host`: each of its [mail exchanges](#mail-exchanges) is probed"),
    _PORT,
    *_SESSION,
    Key("labels", Names("mapping of text", kinds.TEXT, kinds.check_label), "none",
        "extra labels, on `gmail_endpoint_info`, of a `domain` on `gmail_mx_info` and `gmail_mx_failure_info`, and the "
        "[alerts](#customers)"),
    Key("expect", ListOf("list of hosts", kinds.EXCHANGE, "mx1.example.com, mx2.example.com", unique=True), "any",
        "the exchanges that the domain must have" + _OF_DOMAIN),
    Key("expect_mta_sts", kinds.SWITCH, "`false`", "whether the domain must have an MTA-STS policy" + _OF_DOMAIN,
        in_effect=lambda endpoint: endpoint.domain is not None),
    Key("greeting_timeout", kinds.duration(0.1, 300), "a part of `timeout`",
        "deadline of the greeting, which does not count in `timeout` then: RFC 5321 lets an exchange take 5 minutes; "
        "only with `protocol: smtp`"),
    *_SCHEDULE,
)

_PATTERNS = ListOf("list of patterns", kinds.PATTERN, "imap.gmail.com", unique=True)

MODULE = Table(
    settings.Module,
    _PROTOCOL,
    replace(_PORT, doc="the port, if the target names none"),
    *_SESSION,
    *(key for key in _SCHEDULE if key.name in {"timeout", "login_interval", "client_name"}),
    Key("ip_family", kinds.ONE_FAMILY, "of `defaults`; `any` where that is `both`", "as in [`defaults`](#defaults)"),
    Key("allow_hosts", replace(_PATTERNS, of=kinds.LOGIN_HOST), "required with an account; else `probe.allow`",
        "the targets that this module is for"),
    Key("domain", kinds.SWITCH, "`false`",
        "whether a target is a mail domain, each [mail exchange](#mail-exchanges) of which is probed; only with "
        "`protocol: smtp`, and the `port` is 25 then"),
)

PROBE = Table(
    settings.ProbeSettings,
    Key("allow", _PATTERNS, "public addresses, on the module's port",
        "the targets of modules that have neither an account nor `allow_hosts`"),
    # Every probe is a socket or two.
    Key("max_concurrent", kinds.whole(1000), "", "probes under way at the same time; one more is answered with 503"),
)

CONTROL = Table(
    verdict_settings.Control,
    Key("kind", kinds.choice(ControlKind), REQUIRED, "what it is compared for: see below"),
    Key("host", kinds.HOST, REQUIRED, "whom to contact; with `neutral` an IP address"),
    Key("port", kinds.PORT, REQUIRED, "the port there"),
)

STATUS = Table(
    verdict_settings.StatusSettings,
    Key("provider", kinds.choice(verdict_settings.StatusProvider), "", "whose account of its own incidents is read"),
    Key("interval", kinds.duration(60, 86400), "", "how often it is read while an endpoint fails; hourly otherwise",
        in_effect=lambda status: status.provider is not verdict_settings.StatusProvider.NONE),
)

TRACE = Table(
    verdict_settings.TraceSettings,
    Key("on_failure", kinds.SWITCH, "`true`", "whether the path to a server is traced when it begins to fail"),
    # A trace takes seconds; each sends some dozens of packets.
    Key("max_per_hour", kinds.whole(60), "", "traces in any hour, over all servers"),
    Key("max_hops", kinds.whole(64), "", "routers on the path, at most"),
)

VERDICT = Table(
    verdict_settings.VerdictSettings,
    Key("controls", Names("mapping of names", CONTROL, kinds.check_name), "`web`, see below; `{}` for none",
        "what is contacted besides the endpoints, to compare with"),
    Key("resolvers", ListOf("list of addresses", kinds.RESOLVER, '"192.0.2.53"', unique=True), "none",
        "resolvers for a second opinion on a name that fails, by IP address; a port other than 53 stands behind a "
        "colon"),
    Key("status", STATUS, "", "the provider's own account of its incidents"),
    Key("trace", TRACE, "", "the path to a server that fails"),
)

_NAME_OF_ENDPOINT = Value("name of an endpoint", kinds.TEXT.read, lambda endpoint: endpoint.name)

DELIVERY = Table(
    settings.Delivery,
    Key("from", _NAME_OF_ACCOUNT, REQUIRED, "the account that sends; its `username` is the address", field="sender"),
    Key("via", _NAME_OF_ENDPOINT, REQUIRED, "the endpoint of SMTP through which it sends, with that account"),
    Key("to", _NAME_OF_ACCOUNT, REQUIRED, "the account that receives, another mailbox; its `username` is the address",
        field="recipient"),
    Key("read_at", ListOf("list of names", _NAME_OF_ENDPOINT, "imap, pop3", unique=True), REQUIRED,
        "the endpoints, with the account `to`, at which the message must be found: one of IMAP, and one of POP3 if you "
        "like"),
    Key("interval", kinds.duration(900, 86400), "", "the time between two messages"),
    Key("timeout", kinds.duration(1, 3600), "",
        "how long after its acceptance the message may take to be visible; shorter than the interval"),
    Key("expect", kinds.choice(settings.ExpectedFolder), "", "`inbox`: to be found in spam is a failure"),
    Key("cleanup", kinds.choice(settings.Cleanup), "",
        "whether the message that was found is moved to the recipient's trash"),
    Key("sent_copy", kinds.choice(settings.Cleanup), "",
        "whether the sender's copies are moved to its trash, once a day; that needs an endpoint of IMAP with the "
        "account `from`"),
)

CONFIGURATION = Table(
    settings.Config,
    Key("defaults", DEFAULTS, "the built-in ones", "values for what an endpoint does not set itself"),
    Key("accounts", Names("mapping of names", ACCOUNT, kinds.check_name), "none", "who logs in"),
    Key("endpoints", Names("mapping of names", ENDPOINT, kinds.check_name),
        "required, at least one; none where there are modules", "what is probed on a schedule"),
    Key("modules", Names("mapping of names", MODULE, kinds.check_name), "none",
        "how `/probe` probes a target that a scrape names"),
    Key("probe", PROBE, "", "which targets a scrape may name",
        in_effect=lambda config: config.modules or config.probe != settings.ProbeSettings()),
    Key("verdict", VERDICT, "", "what evidence is gathered while an endpoint fails, and who is contacted for it"),
    Key("deliveries", Names("mapping of names", DELIVERY, kinds.check_name), "none",
        "which test messages are sent and looked for"),
)

_REFUSED = "refused: no certificate or key is written into this file"

TLS_SERVER = Table(
    None,
    Key("cert_file", server_tls.CERTIFICATE, REQUIRED, "certificate in PEM, the whole chain, leaf first"),
    Key("key_file", server_tls.KEY, REQUIRED, "its key in PEM; a key with a passphrase is refused"),
    Key("client_auth_type", server_tls.CLIENT_AUTH, "`NoClientCert`",
        "whether a client must show a certificate. `RequestClientCert` and `RequireAnyClientCert` would take a "
        "certificate that nobody verifies: Python's ssl module cannot do that, and they are refused"),
    Key("client_ca_file", server_tls.CLIENT_AUTHORITIES, "",
        "the authorities of clients' certificates; with either of the last two types"),
    Key("client_allowed_sans", ListOf("list of names", server_tls.CLIENT_NAME), "any",
        "subject alternative names (DNS, IP, e-mail, URI), one of which a client's certificate must have; with "
        "`RequireAndVerifyClientCert`. The connection of any other client is closed without an answer"),
    Key("min_version", server_tls.VERSION, "`TLS12`", "`TLS10` and `TLS11` are refused: RFC 8996"),
    Key("max_version", server_tls.VERSION, "`TLS13`", "not older than `min_version`"),
    Key("cipher_suites", ListOf("list of names", server_tls.CIPHER), "OpenSSL's",
        "of TLS 1.2, by the names that Go has for those it calls secure; all suites of TLS 1.3 are always offered, as "
        "by Go"),
    Key("prefer_server_cipher_suites", kinds.SWITCH, "`true`", "whether the server's order counts or the client's"),
    Key("curve_preferences", ListOf("list of names", kinds.TEXT), "",
        "refused: Python's ssl module takes no list of curves",
        refused="cannot be chosen: Python's ssl module takes no list of curves"),
    Key("cert", kinds.SECRET, "", _REFUSED, refused="is not taken here: name a file with cert_file"),
    Key("key", kinds.SECRET, "", _REFUSED, refused="is not taken here: name a file with key_file"),
    Key("client_ca", kinds.SECRET, "", _REFUSED, refused="is not taken here: name a file with client_ca_file"),
)

_HEADER = 'in place of the usual value; with `""` there is no such header'

HEADERS = Table(
    None,
    Key("Content-Security-Policy", kinds.header(), "", _HEADER),
    Key("X-Frame-Options", kinds.header("deny", "sameorigin"), "", _HEADER),
    Key("X-Content-Type-Options", kinds.header("nosniff"), "", _HEADER),
    Key("X-XSS-Protection", kinds.header(), "", _HEADER),
    Key("Strict-Transport-Security", kinds.header(), "", _HEADER),
)

HTTP_SERVER = Table(
    None,
    Key("http2", kinds.HTTP2, "`false`",
        "`true` is refused: only HTTP/1.1 is spoken, which every client of HTTP/2 speaks too"),
    Key("headers", HEADERS, "", "headers of every answer"),
)

WEB = Table(
    None,
    Key("tls_server_config", TLS_SERVER, "no TLS", "how TLS is spoken"),
    Key("http_server_config", HTTP_SERVER, "", "how HTTP is spoken"),
    Key("basic_auth_users", Names("mapping of bcrypt hashes", kinds.HASH, kinds.check_user, kinds.NO_HASH), "none",
        "users, and the hashes of their passwords"),
    Key("rate_limit", kinds.TEXT, "", "refused", refused="is not supported: requests are bounded in other ways"),
)
