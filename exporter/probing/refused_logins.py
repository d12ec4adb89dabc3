"""What servers of any make say when they refuse a login: words → Reason.

First come the words that name a wrong user name or password, then those that name another cause: a server that cannot
check a password, or refuses whoever asks, has not refused the password. Of several languages are only the words that
decide whether the same password may be sent again.

Every pattern has gaps of a fixed length at most, so that the time to search a text grows with its length alone.
"""

from __future__ import annotations

import re

from exporter.model.reason import Reason

Table = tuple[tuple[re.Pattern[str], Reason], ...]


def table(*rows: tuple[str, Reason]) -> Table:
    """Return the table of these patterns, in any case, with what each means."""
    return tuple((re.compile(pattern, re.IGNORECASE), reason) for pattern, reason in rows)


_OFF = (
    r"\b(?:disabled|deactivated|(?:turned|switched) off|not (?:been )?(?:enabled|allowed|permitted|activated)"
    r"|deaktiviert|nicht (?:aktiviert|freigeschaltet)|désactivé|no habilitad|disattivat|desativad|отключ)"
)
_LOCKED = r"(?:disabled|suspended|locked|blocked|deactivated|inactive|closed|frozen|abnormal|banned|restricted)"
_CREDENTIAL = (
    r"(?:passwort|kennwort|benutzername|zugangsdaten|logindaten|mot de passe|identifiants?|contraseña|clave"
    r"|credenciales|senha|credenziali|пароль|логин|hasło|wachtwoord|lösenord|adgangskode|passord|heslo|jelszó)"
)
_WRONG = (
    r"(?:falsch|fehlerhaft|ungültig|incorrect|inv[aá]lid|erron|errat|no válid|non valid|невер|неправил|nieprawidł|błędn"
    r"|onjuist|ongeldig|fel\b|forkert|feil\b|nesprávn|hibás)"
)
_TOO_MANY = r"\b(?:zu viele|trop de|demasiad[ao]s|tropp[ie]|muit[ao]s|слишком много|zbyt wiele|te veel)\b"

WRONG_CREDENTIAL = table(
    (
        r"\b(?:invalid|incorrect|wrong|bad|unknown|unrecogni[sz]ed) (?:(?:user|e-?mail|mail)? ?(?:name|id|address)|user"
        r"|log[io]n|password|pass ?phrase|credentials?|account|mailbox|authentication (?:data|credentials?)|token)"
        r"\b(?! (?:attempt|tries))"
        r"|\b(?:user ?name|user|password|credentials?|token|data)\b[^.]{0,40}"
        r"\b(?:invalid|incorrect|wrong|mismatch|not (?:accepted|recogni[sz]ed|valid|correct|found)|expired"
        r"|do(?:es)? not (?:exist|match)|doesn't (?:exist|match)|don't match)\b"
        r"|\blog[io]n (?:was |is )?(?:invalid|incorrect)\b(?! (?:command|argument|method|mechanism))"
        r"|\bno such (?:user|account|mailbox)|(?:user|account|mailbox|password) (?:is )?(?:unknown|not found)"
        r"|check (?:that )?(?:your|the) (?:user|password|credentials|log[io]n|authentication)"
        r"|no secret in database|password error"
        r"|password\b[^.]{0,40}\bpolic(?:y|ies)"
        rf"|\b{_CREDENTIAL}\b[^.]{{0,40}}\b{_WRONG}|\b{_WRONG}\w{{0,8}} (?:\w+ ){{0,3}}{_CREDENTIAL}\b"
        r"|(?:密码|密碼)(?:错误|錯誤|不正确)|パスワードが(?:違|誤|間違|正しく)"
        # Words of another cause in what Postfix and Tencent say of a wrong password
        r"|\(reason unavailable\)|authentication failed, system busy",
        Reason.AUTH_INVALID_CREDENTIALS,
    ),
)

OTHER_CAUSE = table(
    (r"\blicen[cs]e(?! agreement)|\bunlicen[cs]ed", Reason.SERVER_REFUSED),
    (
        r"(?:plain|clear)[ -]?text (?:authentication|log[io]ns?|passwords?)\b|only available under a layer"
        r"|(?:STARTTLS|STLS|TLS|SSL|encryption|(?:secure|encrypted) (?:connection|channel|line))\b[^.]{0,20}"
        r"\b(?:required|needed|first|only|before)"
        r"|\b(?:requires?|need|use|issue|over|without)\b[^.]{0,20}\b(?:STARTTLS|STLS|TLS|SSL|encryption|encrypted"
        r"|secure connection)\b",
        Reason.STARTTLS_REQUIRED,
    ),
    (
        r"too many (?:\w+ ){0,2}(?:connections?|sessions?|clients)\b"
        r"|(?:maximum|max\.?|limit)\b[^.]{0,40}\b(?:connections?|sessions?)\b|\b(?:connection|session)s? limit"
        rf"|{_TOO_MANY} (?:\w+ )?(?:verbindung|sitzung|connexion|conexi?o|conexõ|connession|соединен|połącze)"
        r"|连接数|連接數|接続数",
        Reason.TOO_MANY_CONNECTIONS,
    ),
    (
        r"too many (?:\S+ ){0,3}(?:attempts?|log[io]ns?|auth\w*|failures?|requests?|tries|errors?|passwords?)\b"
        r"|too (?:often|frequent|fast|quickly|soon)|rate.?limit|frequency|slow down"
        r"|limit (?:exceeded|reached|hit)|(?:attempts|log[io]ns) exceeded"
        r"|exceed(?:ed|s) (?:\w+ ){0,3}(?:limit|attempts|rate)"
        r"|\brate (?:is )?(?:exceeded|too high)|\b(?:over|daily) limit|wait (?:for )?\d|频繁|頻繁|频率"
        r"|max(?:imum)? (?:\w+ ){0,3}(?:attempts|failures|log[io]ns)|minimum (?:\w+ ){0,2}(?:between|interval)"
        rf"|temporarily {_LOCKED}|{_TOO_MANY}",
        Reason.LOGIN_RATE_LIMITED,
    ),
    (r"throttl|gr[ae]ylist", Reason.THROTTLED),
    (
        r"\b(?:mail ?box|mail ?drop|mail ?dir|spool)\b[^.]{0,40}\b(?:lock\w*|in use|busy|(?:already )?open)\b"
        r"|\block (?:is )?(?:busy|failed)|being read already"
        r"|\b(?:get|obtain|acquire|for) (?:an? |the )?(?:exclusive )?lock\b"
        r"|\b(?:unable to|cannot|can't|could not|couldn't|failed to) lock"
        r"|another (?:POP3? |IMAP )?(?:session|client|connection|process)|already (?:logged in|locked|in use)"
        r"|account is in use",
        Reason.MAILBOX_IN_USE,
    ),
    (
        r"over ?(?:\w{1,20} ){0,2}quota|quota (?:is |has been )?exceeded|exceed\w{0,8} (?:\w{1,20} ){0,3}quota"
        r"|mail ?box (?:is )?full"
        r"|postfach (?:ist )?voll|speicherplatz|buzón (?:está )?lleno|ящик переполнен|邮箱已满",
        Reason.MAILBOX_FULL,
    ),
    (r"base64|bad protocol / cancel", Reason.SASL_MALFORMED),
    (
        r"basic auth\w*|(?:use|only|requires?) (?:X?OAUTH|modern auth)|X?OAUTH2? (?:is )?(?:only|required|needed)"
        r"|\bno mechanism available"
        rf"|\bpasswords?[ -](?:based )?(?:log[io]ns?|auth\w*)\b[^.]{{0,20}}{_OFF}"
        r"|\b(?:unsupported|unknown|unrecogni[sz]ed|invalid|unavailable)\b[^.]{0,20}\b(?:mechanism|method|type)\b"
        r"|\b(?:mechanism|auth(?:entication)? (?:method|type))s?\b[^.]{0,40}"
        r"\b(?:not (?:supported|available|enabled|allowed|permitted|implemented)|unsupported|disabled|too weak)"
        r"|authentication (?:is )?not (?:supported|enabled|implemented)|AUTH not (?:available|supported|enabled)"
        r"|modern auth\w* (?:is )?required",
        Reason.AUTH_MECHANISM,
    ),
    (
        r"(?:two|2|multi)[- ]?(?:factor|step)\b|\b[2M]FA\b|\bOTP\b|\b(?:one[- ]time|device|external) password"
        r"|app(?:lication)?[ -](?:specific )?passwords? (?:is |are )?(?:needed|must)"
        r"|with an? app(?:lication)?[ -](?:specific )?password|LOGIN\.REQCODE",
        Reason.AUTH_APP_PASSWORD_REQUIRED,
    ),
    (
        r"\b(?:IMAP4?|POP3?|SMTP|mail clients?)\b[^.]{0,60}\b(?:free|paid|paying|premium|trial)\b"
        r"|\bupgrade\b[^.]{0,40}\b(?:IMAP4?|POP3?|SMTP)\b",
        Reason.DISABLED_FOR_ACCOUNT,
    ),
    (
        r"tempora[rlni]|temporär|vorübergehend|временн|\b(?:später|plus tard|m[aá]s tarde|mais tarde|più tardi"
        r"|позже)\b|稍[后後]|しばらく|try again in\b|unavailable|not (?:ready|available)|generic failure|\bbusy\b"
        r"|\b(?:internal|server|system|unexpected|database|backend|unknown)(?: \w+)? (?:error|failure|problem)"
        r"|overload|maintenance|time(?:d|-)? ?out|out of memory|shutting down|at (?:present|this time|the moment)"
        r"|\bconnection (?:was )?(?:lost|refused|reset)|saslauthd|\bLDAP\b|\bSQL\b|no space left|disk (?:is )?full"
        r"|\b(?:could not|couldn't|cannot|can't|unable to|failed to) (?:contact|connect|proxy|reach|open|access)"
        r"|unreachable|\bno (?:answer|connection|response|route) (?:from|to)\b|(?:I/O|mysql) error|connect failed"
        r"|(?:unexpected|unhandled) exception|\b(?:is|are|currently) down\b|load (?:is )?too high"
        r"|being (?:moved|migrated|restored|upgraded)"
        r"|nicht (?:verfügbar|erreichbar)|indispon|no disponible|недоступ|wartung|mantenimiento|manutenzione|manutenção"
        r"|обслуживани|维护|維護|メンテナンス",
        Reason.AUTH_TEMPORARY,
    ),
    (
        r"log[io]n (?:command )?(?:is )?(?:disabled|not supported)|AUTHENTICATE \w{1,20} (?:is )?disabled",
        Reason.AUTH_MECHANISM,
    ),
    (
        r"\b(?:log|sign) ?in (?:at|to|on|via|through) (?:https?:|(?:the |our |your )?web)"
        r"|terms (?:of (?:service|use)|and cond)",
        Reason.AUTH_WEB_LOGIN_REQUIRED,
    ),
    (
        rf"{_OFF} (?:for|by|in) (?:the|your|this|its) (?:tenant|domain|organi[sz]ation)"
        r"|security defaults policy|conditional access|did not meet the criteria to be authenticated",
        Reason.DISABLED_FOR_DOMAIN,
    ),
    (
        rf"SmtpClientAuthentication is disabled|\b(?:IMAP4?|POP3?|SMTP|protocol|service)\b[^.]{{0,40}}{_OFF}"
        r"|\b(?:not (?:enabled|allowed|permitted|authori[sz]ed|activated)|yet to enable|please enable)\b"
        r"[^.]{0,40}\b(?:IMAP4?|POP3?|SMTP)\b|access rights to this service"
        r"|\b(?:IMAP4?|POP3?|SMTP)\b[^.]{0,60}\bfreigeschaltet|\baktivieren Sie\b[^.]{0,40}\b(?:IMAP|POP3?|SMTP)\b"
        r"|(?:IMAP|POP3?|SMTP)(?:服务|服務)?(?:未开启|未開啟|已关闭)",
        Reason.DISABLED_FOR_ACCOUNT,
    ),
    (
        r"\b(?:IP|address|host|country|location|region|network)\b.{0,60}\b(?:blocked|banned|black ?listed|denied"
        r"|not (?:allowed|permitted)|restricted|listed|gesperrt|bloqué|bloqueada|заблокирован)\b"
        r"|\bunauthori[sz]ed (?:IP|host|location)|\bgeo\w{0,9}[- ](?:block|restrict|fenc)"
        r"|\b(?:blocked|banned|black ?listed|denied|not (?:allowed|permitted))\b.{0,30}"
        r"\b(?:IP|address|host|country|location|region|network)\b",
        Reason.SERVER_REFUSED,
    ),
    (
        rf"\b(?:account|user|mail ?box|log[io]n|e-?mail|domain|subscription)\b[^.]{{0,40}}\b{_LOCKED}\b"
        rf"|\b{_LOCKED} (?:account|user|mail ?box|domain)\b|(?:account|domain|subscription) (?:has |is )?expired"
        r"|\b(?:konto|account|postfach|compte|cuenta|usuario|conta|utente|уч[её]тная запись|аккаунт"
        r"|пользователь|ящик)\b[^.]{0,40}\b(?:gesperrt|deaktiviert|bloqu|suspend|suspens|désactivé|d(?:esh|is)abilitad|desativad|sospes"
        r"|bloccat|disattivat|заблокирован|отключ)|[账帐賬帳](?:号|號|户|戶)[^.]{0,10}(?:锁定|鎖定|禁用|停用|冻结)"
        r"|アカウント[^.]{0,10}ロック",
        Reason.ACCOUNT_DISABLED,
    ),
    # Nobody's are taken: the password has not been looked at.
    (
        r"\blog[io]ns (?:are |were |have been )?(?:\w+ )?"
        r"(?:disabled|suspended|closed|not (?:accepted|allowed|permitted))",
        Reason.AUTH_TEMPORARY,
    ),
    (
        r"\b(?:unknown|unrecogni[sz]ed|unsupported|unimplemented|invalid) command|error in IMAP command",
        Reason.BAD_COMMAND,
    ),
    (r"command (?:is )?(?:not|in)\b[^.]{0,10}(?:valid|state)|received in invalid state", Reason.PROTOCOL_ERROR),
    # It refuses whoever asks, or asks from here; not the name of a host, a page or a user that has such a word.
    (
        r"(?<![-./@])\b(?:relay(?:ing)?|polic(?:y|ies)|blocked|banned)\b(?![-.@]\w)|\btenant|(?:black|block) ?list"
        r"|\b(?:RBL|DNSBL|ACL)\b|spamhaus|fail2ban|\bprohibited\b",
        Reason.SERVER_REFUSED,
    ),
)

LATER = table((r"\b(?:try|come|retry) (?:\w+ )?(?:again |back )?later\b|fatal error", Reason.AUTH_TEMPORARY))
"""What a refusal says that neither a word nor a code explains."""

FAILED = re.compile(
    r"\b(?:auth\w*|log[io]n)\b(?: \w{1,20})? (?:failed|failure|denied|rejected|refused)\b", re.IGNORECASE
)
"""What tells that it was the login which failed, where the server also ends the session."""
