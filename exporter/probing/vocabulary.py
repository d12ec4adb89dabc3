"""Words that are no secret, though a secret may contain them: those of the protocols, of servers, and our own.

A password such as `password2024` shares a piece with half of what servers say. A piece of it that is also one of these
words is shown, up to `COMMON` characters: to take it out would make texts unreadable, and would tell the secret.
"""

from __future__ import annotations

from functools import cache

from exporter.model.login import Denial
from exporter.model.outcome import Check, Phase
from exporter.model.reason import Blame, Reason, Retry
from exporter.model.remedy import REMEDIES
from exporter.model.settings import MechanismChoice, Protocol, Role, Security
from exporter.probing.pieces import letters, marks

COMMON = 10
"""Characters from which on a piece is a secret's, though it may also be a word of these."""

# IANA's registries of IMAP capabilities, POP3 extensions, SMTP extensions and SASL mechanisms, and Gmail's own.
_CAPABILITIES = """
    ACL ANNOTATE-EXPERIMENT-1 APPENDLIMIT BINARY CATENATE CHILDREN COMPRESS=DEFLATE CONDSTORE CONTEXT=SEARCH
    CONTEXT=SORT CONVERT CREATE-SPECIAL-USE ENABLE ESEARCH ESORT FILTERS I18NLEVEL=1 IDLE IMAP4 IMAP4rev1 IMAP4rev2
    IMAPSIEVE INPROGRESS JMAPACCESS LANGUAGE LIST-EXTENDED LIST-METADATA LIST-MYRIGHTS LIST-STATUS LITERAL+ LITERAL-
    LOGIN-REFERRALS LOGINDISABLED MAILBOX-REFERRALS MESSAGELIMIT METADATA METADATA-SERVER MOVE MULTIAPPEND MULTISEARCH
    NAMESPACE NOTIFY OBJECTID PARTIAL PREVIEW PREVIEW=FUZZY QRESYNC QUOTA QUOTASET QUOTA=RES-STORAGE QUOTA=RES-MESSAGE
    REPLACE RIGHTS=kxten SASL-IR SAVEDATE SAVELIMIT SCAN SEARCH=FUZZY SEARCHRES SNIPPET=FUZZY SORT SORT=DISPLAY
    SPECIAL-USE STARTTLS STATUS=SIZE STATUS-COUNTERS THREAD=ORDEREDSUBJECT THREAD=REFERENCES THREAD=REFS UIDBATCHES
    UIDONLY UIDPLUS UNAUTHENTICATE UNSELECT URL-PARTIAL URLAUTH URLAUTH=BINARY UTF8=ACCEPT UTF8=ONLY WITHIN XLIST
    X-GM-EXT-1 XYZZY X-GOOGLE-RICO XAPPLEPUSHSERVICE XCONVERSATIONS

    TOP USER SASL RESP-CODES LOGIN-DELAY PIPELINING EXPIRE UIDL IMPLEMENTATION AUTH-RESP-CODE UTF8 LANG STLS CAPA

    8BITMIME ATRN AUTH BINARYMIME BURL CHECKPOINT CHUNKING CONNEG CONPERM DELIVERBY DSN ENHANCEDSTATUSCODES ETRN EXPN
    FUTURERELEASE HELP LIMITS MT-PRIORITY MTRK NO-SOLICITING REQUIRETLS RRVS SEND SMTPUTF8 SUBMITTER UTF8SMTP VRFY
    X-ANONYMOUSTLS X-EXPS XCLIENT XFORWARD XRDST

    ANONYMOUS CRAM-MD5 DIGEST-MD5 EXTERNAL GSS-SPNEGO GSSAPI KERBEROS_V4 LOGIN NTLM OAUTH10A OAUTHBEARER OPENID20 PLAIN
    PLAIN-CLIENTTOKEN SAML20 SCRAM-SHA-1 SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-256-PLUS SCRAM-SHA-512 SKEY XOAUTH
    XOAUTH2
"""

_PROTOCOLS = """
    AUTHENTICATE CAPABILITY LOGOUT PREAUTH EXAMINE SELECT CREATE DELETE RENAME SUBSCRIBE UNSUBSCRIBE APPEND FETCH STORE
    GETQUOTAROOT QUOTAROOT STORAGE MESSAGES UNSEEN RECENT EXISTS UIDNEXT UIDVALIDITY PERMANENTFLAGS HIGHESTMODSEQ FLAGS
    ALERT ALREADYEXISTS AUTHENTICATIONFAILED AUTHORIZATIONFAILED BADCHARSET CANNOT CLIENTBUG CONTACTADMIN CORRUPTION
    EXPIRED EXPUNGEISSUED INUSE IN-USE NONEXISTENT NOPERM OVERQUOTA PRIVACYREQUIRED SERVERBUG SYS/PERM SYS/TEMP
    THROTTLED TRYCREATE UNAVAILABLE WEBALERT
    HasChildren HasNoChildren Marked Unmarked Noselect NonExistent Noinferiors Subscribed Remote
    All Archive Drafts Flagged Important Junk Sent Trash Answered Deleted Draft Seen INBOX NIL
    [Gmail]/All Mail [Google Mail] Sent Mail Sent Items Deleted Items Starred Spam Templates Outbox
    EHLO HELO MAIL FROM RCPT TO DATA RSET NOOP QUIT BODY=8BITMIME PASS STAT LIST RETR DELE APOP
    {"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"} {"status":"401","schemes":"bearer mac"}
    error error_description error_uri invalid_request invalid_client invalid_grant invalid_scope invalid_token
    unauthorized_client unsupported_grant_type access_denied admin_policy_enforced org_internal deleted_client
    disabled_client client_id client_secret refresh_token access_token id_token token_type expires_in grant_type
    assertion user= auth=Bearer openid-configuration application/json
    Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April August September October
    November December localhost localdomain gsmtp ESMTP SMTP IMAP POP3 Gimap Gpop Dovecot Postfix Exim Sendmail Cyrus
    Courier Zimbra Exchange Microsoft Outlook Office365 Yahoo iCloud Fastmail Google Gmail googlemail.com
"""

_SERVERS = """
    ready for requests from
    at your service
    Thats all she wrote!
    authenticated (Success)
    Invalid credentials (Failure)
    Invalid credentials for relay. The IP address you've registered doesn't match the domain of the account
    Username and Password not accepted. For more information, go to https://support.google.com/mail/?p=BadCredentials
    Application-specific password required: https://support.google.com/accounts/answer/185833 p=InvalidSecondFactor
    Please log in via your web browser: https://support.google.com/mail/accounts/answer/78754 p=WebLoginRequired
    Please log in with your web browser and then try again. Learn more at https://support.google.com/mail/answer/78754
    Web login required. https://accounts.google.com/signin/continue?sarp=1&scc=1&plt=
    Your account is not enabled for IMAP use. Your account is not enabled for POP access.
    Please visit your Gmail settings page and enable your account for IMAP access.
    IMAP access is disabled for your domain. POP access is disabled for your domain.
    Please contact your domain administrator for questions about this feature.
    Too many simultaneous connections. Too many login attempts, please try again later.
    Account exceeded command or bandwidth limits. Lookup failed. Invalid SASL argument.
    Temporary System Error. Temporary System Problem. Cannot authenticate due to temporary system problem.
    Session expired, please login again. Logout Requested. Unknown Mailbox. Could not parse command. Invalid tag.
    some messages could not be fetched. malformed command. Command not understood. Capability list follows. Welcome.
    Ready to start TLS. closing connection. Go ahead. Accepted. Begin TLS negotiation now.
    Authentication Required. Must issue a STARTTLS command first. specifications. review RFC.
    Daily user sending limit exceeded. Server busy, try again later. Connection expired. timeout - closing connection.
    Mail sending denied. Unrecognized authentication type. Cannot decode response. optional argument not permitted.
    Our system has detected an unusual rate of unsolicited mail. This message does not meet the sending guidelines.
    Username: Password: User Name Password Unimplemented command pipeline after additional corresponding customer
    delivered directly double-checking exceeds identity instead longer originating prevents quickly receiving
    reconnecting records regarding repeated results senders temporarily trying whitelist Netblock changes

    Authentication successful. Authentication succeeded. Authentication failed. Authentication failure.
    authentication failed: UGFzc3dvcmQ6 authentication credentials invalid. Login failed. Logon failure. Logged in.
    Login completed. Login successful. Logging out. Logout completed. Bye. Goodbye. LOGIN failed. bad user name
    incorrect username or password. Incorrect authentication data. unknown user name or bad password
    Temporary authentication failure. Internal error occurred. Refer to server log for more information.
    Account is disabled. Account is locked. mailbox is disabled. Mailbox is full. Quota exceeded. Permission denied
    Service not available, closing transmission channel. Service ready. server ready. Requested mail action
    Plaintext authentication disallowed on non-secure (SSL/TLS) connections. Disconnected for inactivity.
    Capability completed. List completed. Status completed. Getquotaroot completed. Pre-login capabilities listed,
    post-login capabilities have more. Post-login capabilities listed, AUTHENTICATE completed. BAD Command received
    Too many invalid IMAP commands. Unknown command. Unrecognized command. Error in IMAP command. Unexpected argument.
    Syntax error in parameters or arguments. command not implemented. Bad sequence of commands. Command unrecognized
    User logged in. User unknown. No such user here. Sender address rejected. Relay access denied. Helo command rejected
    need fully-qualified hostname. Client host rejected. cannot find your reverse hostname. Recipient address rejected
    Maximum number of connections from user+IP exceeded. too many connections from your host. Connection refused.
    Connection reset by peer. Connection timed out. Network is unreachable. No route to host. Broken pipe.
    certificate verify failed. certificate has expired. self-signed certificate in certificate chain.
    unable to get local issuer certificate. unable to get issuer certificate. Hostname mismatch, certificate is not
    valid for. wrong version number. handshake failure. unexpected eof while reading. tlsv1 alert protocol version.
    tlsv1 alert internal error. unrecognized name. Domain name not found. DNS server returned answer with no data.
    Timeout while contacting DNS servers. Could not contact DNS servers. DNS query cancelled
"""

_OURS = """
    not an IMAP greeting: expected an answer to a LIST response a STATUS response before the tagged OK a NUL in
    a continuation request that nothing asked for an OK before the login was complete no CAPABILITY response before
    a line end or a NUL in the name of a mailbox not a line of an SMTP reply: not an answer to STAT
    the server greets with PREAUTH: this connection has no login to check the server offers neither IMAP4rev1 nor
    the server does not offer STARTTLS the server closed the connection octets of plaintext came before the handshake
    a line of more than octets a literal of octets; at most are read a response of more than octets besides its literals
    octets in answer to one command octets in too many lines in answer to one command no answer within not visible:
    octets of TLS records with octets of text
    the server offers no mechanism redacted
    the token endpoint gave no usable answer the token endpoint: its address must begin with https:// the grant is for
    no token within has no IPv4 or IPv6 address this host has no route to Traceback (most recent call last)
"""


@cache
def _texts() -> tuple[str, ...]:
    tables = [*Reason, *Blame, *Retry, *Denial, *Phase, *Check, *Role, *Protocol, *Security, *MechanismChoice]
    ours = [text for row in tables for text in (row.value, *vars(row).values()) if isinstance(text, str)]
    ours += REMEDIES.values()
    lines = f"{_CAPABILITIES}\n{_PROTOCOLS}\n{_SERVERS}\n{_OURS}".splitlines()
    return *lines, *ours


@cache
def common_letters() -> str:
    """Return all of them in the form `letters`, one a line."""
    return "\n".join(map(letters, _texts()))


@cache
def common_marks() -> str:
    """Return all of them in the form `marks`, one a line."""
    return "\n".join(map(marks, _texts()))


@cache
def common_words() -> frozenset[str]:
    """Return the single words of them in the form `marks`."""
    return frozenset(marks(word.strip(".,:;!?()[]\"'")) for text in _texts() for word in text.split())
