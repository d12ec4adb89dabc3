"""Can the accounts log in, are their folders visible, are their tokens valid?"""

from __future__ import annotations

from collections.abc import Mapping

from exporter.model.login import Denial
from grafana import links, style
from grafana.panels import About, Builder, Column, Graph, Query, Size, bars, graph, number, rows
from grafana.queries import IDENTITY, chosen, endpoint, of_account, over, selector, with_account

TITLE = "Accounts: do logins, folders and tokens work?"

STEP = "5m"
"""Logins are rare on purpose, 15 minutes apart at least by default; each bar counts its own step."""

_RESULTS = {"success": ("OK", style.NOBODY[1]), "failure": ("Failed", "#D55E00")}
_HELD: Mapping[str, tuple[str, str]] = {
    Denial.BACKOFF: ("Backing off", "#E69F00"),
    Denial.WAIT24: ("Waiting up to 24 h", "#0072B2"),
    Denial.HOLD: ("Held until released", "#D55E00"),
    Denial.CEILING: ("Daily ceiling", "#CC79A7"),
    Denial.STORAGE: ("Storage not usable", "#56B4E9"),
}
_LOGIN, _FOLDERS = 'check="login"', 'check="folders"'
_SUCCESS, _FAILURE = 'result="success"', 'result="failure"'
_PROTECTS = 'denial=~"' + "|".join(_HELD) + '"'


def panels() -> list[Builder]:
    """From left to right, from top to bottom."""
    return [*_numbers(), _logins(), _attempts(), _denials(), _refreshes(), _tokens(), _folders(), _quota(), _messages()]


def _numbers() -> list[Builder]:
    return [
        number(
            About(
                "Logins refused",
                "How many endpoints refused the last login?",
                "The mail server works: it answered and refused the login, or the secret could not be read.",
                "find the account in the table below, and its reason at the top of the page.",
            ),
            Size(6, 4),
            Query(f"sum(1 - {endpoint('gmail_check_success', _LOGIN)})"),
            unit="none",
            steps=style.ANY_IS_DOUBTFUL,
            words=style.NONE,
            decimals=0,
            no_value="No logins yet",
        ),
        number(
            About(
                "Logins held back",
                "How many endpoints do not log in, to protect the account?",
                "After a refusal the exporter waits, or does not try again until something has changed: "
                "providers lock accounts that fail too often, Google among them.",
                "remove the cause, then release the account: the page of the endpoint says how.",
            ),
            Size(6, 4),
            Query(f"sum({endpoint('gmail_login_suspended')})"),
            unit="none",
            steps=style.ANY_IS_DOUBTFUL,
            words=style.NONE,
            decimals=0,
            no_value="No accounts",
        ),
        number(
            About(
                "Folders hidden",
                "How many folders do mail clients not see?",
                "Of the roles that the configuration names. The folder exists, but its label is not shown in IMAP.",
                "Gmail → Settings → See all settings → Labels → Show in IMAP.",
            ),
            Size(6, 4),
            Query(f"sum(1 - {endpoint('gmail_folder_visible')})"),
            unit="none",
            steps=style.ANY_IS_BAD,
            words=style.NONE,
            decimals=0,
            no_value="No folders are watched",
        ),
        number(
            About(
                "Next token expires in",
                "Are the present access tokens valid?",
                "Of accounts with OAuth 2.0. A token is valid for an hour and is replaced at the first login in its "
                "last five minutes; an expired token is no problem while no login is due.",
                "if it is expired and logins fail, see the tokens below, and the reason.",
            ),
            Size(6, 4),
            Query(f"min({of_account('gmail_oauth_token_expiry_timestamp_seconds')} - time())"),
            unit="dtdurations",
            steps=style.TOKEN_EXPIRY,
            no_value="No tokens",
        ),
    ]


def _logins() -> Builder:
    succeeded, failed = (
        with_account(f"sum without (result) (increase({selector('gmail_logins_total', matcher)}[$__range]))")
        for matcher in (_SUCCESS, _FAILURE)
    )
    return rows(
        About(
            "Logins",
            "Which account can log in at which endpoint, and when is the next login?",
            "Logins held back are first. “Held back by” is why the login budget does not allow one; if it is empty, "
            "the next login comes at its usual time. “Refused at” and “Refused for” are the refusal that it follows. "
            "“Planned every” is longer than `login_interval` where the mailbox has many endpoints. “OK” and “Failed” "
            "count the logins in this range.",
            "held until released: remove the cause, then release the account, as its page says. Storage not "
            "usable: see the exporter's log for the file and what is wrong with it. The others end without you.",
        ),
        Size(24, 8),
        Column("Held", expression=with_account(selector("gmail_login_suspended")), words=style.HELD, width=100),
        Column("Account", "account"),
        Column("Endpoint", "endpoint", links=links.of_endpoint()),
        Column("Protocol", "protocol", width=80),
        Column("IP", "ip_family", width=60),
        Column("Seen by", "instance", links=[links.status_page()]),
        Column(
            "Login",
            expression=with_account(f"max without (check) ({selector('gmail_check_success', _LOGIN)})"),
            words=style.SUCCESS,
            width=80,
        ),
        Column(
            "Folders",
            expression=with_account(f"max without (check) ({selector('gmail_check_success', _FOLDERS)})"),
            words=style.SUCCESS,
            width=80,
        ),
        Column("Held back by", "denial", texts=style.text_mapping(_HELD), width=160),
        Column("Refused at", "cause_endpoint", width=110),
        Column("Refused for", "cause_reason", width=180),
        Column(
            "Next login in",
            expression=with_account(f"{selector('gmail_login_next_timestamp_seconds')} - time()"),
            unit="dtdurations",
            width=140,
        ),
        Column(
            "Planned every",
            expression=with_account(f"max without () ({selector('gmail_login_interval_seconds')})"),
            unit="dtdurations",
            width=140,
        ),
        Column(
            "Failed in a row",
            expression=with_account(f"max without () ({selector('gmail_login_consecutive_failures')})"),
            decimals=0,
            steps=style.ANY_IS_DOUBTFUL,
            width=130,
        ),
        Column("OK", expression=succeeded, decimals=0, width=70),
        Column("Failed", expression=failed, decimals=0, steps=style.ANY_IS_DOUBTFUL, width=70),
        Column("Why", expression=with_account(selector("gmail_login_held_info")), hidden=True),
        sort="Held",
        descending=True,
        no_value="No endpoint logs in",
    )


def _attempts() -> Builder:
    return graph(
        About(
            "Logins made",
            "How many logins succeed and fail?",
            "Of all accounts chosen. There should be few: by default an endpoint logs in once in 15 minutes, or less "
            "often where its account has several, and no more often after a failure.",
            "many failures at once: one account on many endpoints, or the provider's sign-in itself.",
        ),
        Size(8, 8),
        Query(
            f"sum by (result) ({over('increase', 'gmail_logins_total', '$__interval')})",
            "{{result}}",
            STEP,
        ),
        unit="short",
        drawn=Graph(stacked=True, bars=True, series=_RESULTS, calcs=("sum",)),
    )


def _denials() -> Builder:
    return graph(
        About(
            "Logins not made, to protect the account",
            "Which limits hold logins back?",
            "Probes that stopped before the login because the account's budget did not allow one. The usual wait of "
            "`login_interval` is not shown.",
            "daily ceiling: the plan keeps below it; find what else logs in. Storage not usable: see the exporter's "
            "log. The others follow a refusal.",
        ),
        Size(8, 8),
        Query(
            f"sum by (denial) ({over('increase', 'gmail_login_denials_total', '$__interval', _PROTECTS)})",
            "{{denial}}",
            STEP,
        ),
        unit="short",
        drawn=Graph(stacked=True, bars=True, series=_HELD, calcs=("sum",)),
    )


def _refreshes() -> Builder:
    return graph(
        About(
            "Access tokens asked for",
            "Does the token endpoint give tokens?",
            "Of accounts with OAuth 2.0: about one an hour for each account.",
            "if they fail, the table below shows why.",
        ),
        Size(8, 8),
        Query(
            f"sum by (result) (increase({of_account('gmail_oauth_token_refreshes_total')}[$__interval]))",
            "{{result}}",
            STEP,
        ),
        unit="short",
        drawn=Graph(stacked=True, bars=True, series=_RESULTS, calcs=("sum",)),
    )


def _tokens() -> Builder:
    refreshes = "gmail_oauth_token_refreshes_total"
    asked = f"sum without (result) (increase({of_account(refreshes)}[$__range]))"
    refused = f"sum without (result) (increase({of_account(refreshes, _FAILURE)}[$__range]))"
    return rows(
        About(
            "Tokens",
            "Does every account with OAuth 2.0 get its token, and if not, why?",
            "“Asked” and “Refused” count in this range; “Reason” and “How often” since the exporter started.",
            "follow the link of the reason to its remedy. A refresh token expires every week if the consent screen was "
            "not published.",
        ),
        Size(12, 8),
        Column("Refused", expression=refused, decimals=0, steps=style.ANY_IS_BAD, width=80),
        Column("Account", "account"),
        Column("Seen by", "instance", links=[links.status_page()]),
        Column("Asked", expression=asked, decimals=0, width=70),
        Column(
            "Expires in",
            expression=f"{of_account('gmail_oauth_token_expiry_timestamp_seconds')} - time()",
            unit="dtdurations",
            steps=style.TOKEN_EXPIRY,
            width=130,
        ),
        Column(
            "Answer took",
            expression=f"max without () ({of_account('gmail_oauth_token_refresh_duration_seconds')})",
            unit="s",
            steps=style.SECONDS,
            width=100,
        ),
        Column("Reason", "reason", links=[links.remedy()]),
        Column("How often", expression=of_account("gmail_oauth_token_refresh_failures_total"), decimals=0, width=90),
        sort="Refused",
        descending=True,
        no_value="No account has OAuth 2.0",
    )


def _folders() -> Builder:
    return rows(
        About(
            "Folders",
            "Do mail clients see every folder, and how full is it?",
            "Hidden folders first. They are named by role, whatever the language. Only POP3 reports sizes.",
            "hidden: Gmail → Settings → See all settings → Labels → Show in IMAP.",
        ),
        Size(12, 8),
        Column("Visible", expression=with_account(selector("gmail_folder_visible")), words=style.VISIBLE, width=80),
        Column("Account", "account"),
        Column("Endpoint", "endpoint", links=links.of_endpoint()),
        Column("Seen by", "instance", links=[links.status_page()]),
        Column("Folder", "folder", width=90),
        Column(
            "Messages",
            expression=with_account(f"max without () ({selector('gmail_folder_messages')})"),
            unit="short",
            width=90,
        ),
        Column(
            "Unread",
            expression=with_account(f"max without () ({selector('gmail_folder_unseen_messages')})"),
            unit="short",
            width=80,
        ),
        Column(
            "Size",
            expression=with_account(f"max without () ({selector('gmail_folder_bytes')})"),
            unit="bytes",
            width=80,
        ),
        sort="Visible",
        no_value="No folders are watched",
    )


def _quota() -> Builder:
    used, quota = selector("gmail_mailbox_used_bytes"), selector("gmail_mailbox_quota_bytes")
    return bars(
        About(
            "The fullest mailboxes",
            "Which mailbox is nearly full?",
            "The ten fullest, where the server reports a quota (IMAP). A full mailbox receives no mail.",
            "free storage or buy more. At Google: one.google.com/storage; Drive and Photos count, too.",
        ),
        Size(12, 8),
        Query(f"topk(10, {with_account(f'{used} / {quota}')})", "{{account}}, {{endpoint}}, by {{instance}}"),
        unit="percentunit",
        steps=style.FULLNESS,
        most=1,
    )


def _messages() -> Builder:
    growing = f"delta({selector('gmail_folder_messages')}[$__range] @ end())"
    return graph(
        About(
            "Messages in the folders that grow fastest",
            "Does mail still arrive, or does it pile up?",
            "The ten folders that received most messages in this range. Check a flat line where mail should arrive; a "
            "steep line is a flood of messages.",
            "compare with the folder in a browser.",
        ),
        Size(12, 8),
        Query(
            f"{selector('gmail_folder_messages')} and on ({IDENTITY}, folder) topk(10, {chosen(growing, ' @ end()')})",
            "{{folder}} of {{endpoint}}, by {{instance}}",
            STEP,
        ),
        unit="short",
        drawn=Graph(least=None, calcs=("lastNotNull", "max"), links=links.of_series()),
    )
