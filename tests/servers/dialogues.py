"""Healthy IMAP, POP3 and SMTP servers for `ScriptedServer`, any step of which can be replaced by an act.

`Imap(at={"login": silence})` is well until the client logs in. The steps are named as a probe's phases are: `tls`
(the handshake), `greeting`, `capability`, `starttls`, `login`, `folders`, `logout`. Mail clients' other commands are
answered as unknown.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from tests.servers.scripted import Behaviour, Session

Step = Literal["tls", "greeting", "capability", "starttls", "login", "folders", "logout"]


@dataclass(frozen=True, kw_only=True)
class Dialogue:
    """What the three protocols share.

    Attributes:
        greeting: the first line, without its end.
        greeting_delay: seconds between the connection (or its handshake) and the greeting.
        refusal: the answer to every login, without a tag and its end; None accepts every login.
        starttls_offered: whether STARTTLS is among the capabilities where the server's security is `starttls`.
        at: acts that take the place of steps.
    """

    greeting: bytes = b""
    greeting_delay: float = 0.0
    refusal: bytes | None = None
    starttls_offered: bool = True
    at: Mapping[Step, Behaviour] = field(default_factory=dict)

    # An act may take the place of the handshake.
    does_handshake: ClassVar[bool] = True

    async def __call__(self, session: Session) -> None:
        """Serve a connection until its client says goodbye or leaves."""
        if session.server.security == "tls":
            await self._start_tls(session)
        if self.greeting_delay:
            await asyncio.sleep(self.greeting_delay)
        if not await self._acted(session, "greeting"):
            await session.write(self.greeting + b"\r\n")
        while line := await session.read_line():
            words = line.split()
            if not await self._answer(session, words):
                return

    async def _acted(self, session: Session, step: Step) -> bool:
        if step not in self.at:
            return False
        await self.at[step](session)
        return True

    async def _start_tls(self, session: Session) -> None:
        if not await self._acted(session, "tls"):
            await session.start_tls()

    def _offers_starttls(self, session: Session) -> bool:
        return session.server.security == "starttls" and self.starttls_offered and not session.encrypted

    async def _sasl(self, session: Session, mechanism: bytes, initial: Sequence[bytes], prompt: bytes) -> None:
        """Take the client's messages of a SASL exchange, whatever they say."""
        prompts = [b"VXNlcm5hbWU6", b"UGFzc3dvcmQ6"] if mechanism == b"LOGIN" else [b""]
        for text in prompts[len(initial) :]:
            await session.write(prompt + text + b"\r\n")
            await session.read_line()

    async def _answer(self, session: Session, words: list[bytes]) -> bool:
        """Answer one command; False once the conversation is over."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Imap(Dialogue):
    """RFC 3501, with the mechanisms and folders of Gmail."""

    greeting: bytes = b"* OK Gimap ready for requests from 127.0.0.1"
    capabilities: bytes = b"IMAP4rev1 UNSELECT IDLE NAMESPACE SPECIAL-USE SASL-IR LITERAL+ AUTH=PLAIN AUTH=LOGIN"
    folders: Sequence[bytes] = (
        b'(\\HasNoChildren) "/" "INBOX"',
        b'(\\HasNoChildren \\Sent) "/" "[Gmail]/Sent Mail"',
        b'(\\HasNoChildren \\Trash) "/" "[Gmail]/Trash"',
        b'(\\HasNoChildren \\Junk) "/" "[Gmail]/Spam"',
    )
    messages: int = 3
    received: bytes = b"17-Jul-2026 02:44:25 -0700"

    async def _answer(self, session: Session, words: list[bytes]) -> bool:
        session.tag = words[0] if words else b"*"
        command, arguments = words[1].upper() if len(words) > 1 else b"", words[2:]
        match command:
            case b"CAPABILITY":
                await self._capability(session)
            case b"STARTTLS":
                await self._starttls(session)
            case b"LOGIN" | b"AUTHENTICATE":
                await self._login(session, command, arguments)
            case b"LIST" | b"STATUS":
                await self._folders(session, command, arguments)
            case b"EXAMINE":
                await session.write(b"* %d EXISTS\r\n%s OK [READ-ONLY] opened\r\n" % (self.messages, session.tag))
            case b"FETCH":
                date = b'* %s FETCH (INTERNALDATE "%s")\r\n' % (arguments[0], self.received)
                await session.write(date + session.tag + b" OK Success\r\n")
            case b"LOGOUT":
                await self._logout(session)
            case b"NOOP":
                await session.write(session.tag + b" OK done\r\n")
            case _:
                await session.write(session.tag + b" BAD Unknown command\r\n")
        return command != b"LOGOUT"

    async def _logout(self, session: Session) -> None:
        if not await self._acted(session, "logout"):
            await session.write(b"* BYE LOGOUT Requested\r\n" + session.tag + b" OK 73 good day (Success)\r\n")

    async def _capability(self, session: Session) -> None:
        if await self._acted(session, "capability"):
            return
        capabilities = self.capabilities
        if self._offers_starttls(session):
            capabilities = re.sub(rb" AUTH=\S+", b"", capabilities) + b" STARTTLS LOGINDISABLED"
        await session.write(b"* CAPABILITY " + capabilities + b"\r\n" + session.tag + b" OK Thats all she wrote!\r\n")

    async def _starttls(self, session: Session) -> None:
        if not await self._acted(session, "starttls"):
            await session.write(session.tag + b" OK Begin TLS negotiation now\r\n")
            await self._start_tls(session)

    async def _login(self, session: Session, command: bytes, arguments: list[bytes]) -> None:
        if command == b"AUTHENTICATE":
            await self._sasl(session, arguments[0].upper(), arguments[1:], b"+ ")
        else:
            await self._literals(session, arguments)
        if not await self._acted(session, "login"):
            await session.write(session.tag + b" " + (self.refusal or b"OK authenticated (Success)") + b"\r\n")

    async def _literals(self, session: Session, arguments: list[bytes]) -> None:
        # RFC 3501 §4.3, RFC 7888: a literal ends its line, and the command goes on behind it.
        while arguments and (literal := re.fullmatch(rb"\{(\d+)(\+?)\}", arguments[-1])):
            if not literal[2]:
                await session.write(b"+ go ahead\r\n")
            await session.read_exactly(int(literal[1]))
            arguments = (await session.read_line()).split()

    async def _folders(self, session: Session, command: bytes, arguments: list[bytes]) -> None:
        if await self._acted(session, "folders"):
            return
        if command == b"LIST":
            reply = b"".join(b"* LIST " + folder + b"\r\n" for folder in self.folders)
        else:
            name = b" ".join(arguments).partition(b" (")[0]
            reply = b"* STATUS " + name + b" (MESSAGES %d)\r\n" % self.messages
        await session.write(reply + session.tag + b" OK Success\r\n")


@dataclass(frozen=True, kw_only=True)
class Pop3(Dialogue):
    """RFC 1939, 2449, 2595 and 5034. POP switched off shows in the answer to STAT: put an act at `folders`."""

    greeting: bytes = b"+OK Gpop ready for requests from 127.0.0.1"
    capabilities: Sequence[bytes] = (b"USER", b"RESP-CODES", b"UIDL", b"SASL PLAIN LOGIN")
    messages: int = 3

    async def _answer(self, session: Session, words: list[bytes]) -> bool:
        command = words[0].upper() if words else b""
        match command:
            case b"CAPA":
                await self._capability(session)
            case b"STLS":
                await self._starttls(session)
            case b"USER":
                await session.write(b"+OK send PASS\r\n")
            case b"PASS" | b"AUTH":
                await self._login(session, command, words[1:])
            case b"STAT":
                if not await self._acted(session, "folders"):
                    await session.write(b"+OK %d 4096\r\n" % self.messages)
            case b"QUIT":
                if not await self._acted(session, "logout"):
                    await session.write(b"+OK Farewell.\r\n")
            case _:
                await session.write(b"-ERR bad command\r\n")
        return command != b"QUIT"

    async def _starttls(self, session: Session) -> None:
        if not await self._acted(session, "starttls"):
            await session.write(b"+OK Begin TLS negotiation\r\n")
            await self._start_tls(session)

    async def _login(self, session: Session, command: bytes, arguments: list[bytes]) -> None:
        if command == b"AUTH":
            await self._sasl(session, arguments[0].upper(), arguments[1:], b"+ ")
        if not await self._acted(session, "login"):
            await session.write((self.refusal or b"+OK Welcome.") + b"\r\n")

    async def _capability(self, session: Session) -> None:
        if await self._acted(session, "capability"):
            return
        capabilities = [*self.capabilities]
        if self._offers_starttls(session):
            # RFC 2595 §2.1: no login in the clear is offered where there is a way to avoid it.
            capabilities = [each for each in capabilities if not each.startswith((b"SASL", b"USER"))] + [b"STLS"]
        lines = b"".join(capability + b"\r\n" for capability in capabilities)
        await session.write(b"+OK Capability list follows\r\n" + lines + b".\r\n")


@dataclass(frozen=True, kw_only=True)
class Smtp(Dialogue):
    """RFC 5321, 3207 and 4954, without mail."""

    greeting: bytes = b"220 smtp.example.com ESMTP ready - gsmtp"
    capabilities: Sequence[bytes] = (b"SIZE 35882577", b"8BITMIME", b"ENHANCEDSTATUSCODES", b"PIPELINING", b"SMTPUTF8")
    mechanisms: bytes = b"LOGIN PLAIN"

    async def _answer(self, session: Session, words: list[bytes]) -> bool:
        command = words[0].upper() if words else b""
        match command:
            case b"EHLO":
                await self._capability(session)
            case b"HELO":
                await session.write(b"250 smtp.example.com at your service\r\n")
            case b"STARTTLS":
                await self._starttls(session)
            case b"AUTH":
                await self._login(session, words[1:])
            case b"QUIT":
                if not await self._acted(session, "logout"):
                    await session.write(b"221 2.0.0 closing connection\r\n")
            case _:
                await session.write(b"502 5.5.1 Unrecognized command\r\n")
        return command != b"QUIT"

    async def _starttls(self, session: Session) -> None:
        if not await self._acted(session, "starttls"):
            await session.write(b"220 2.0.0 Ready to start TLS\r\n")
            await self._start_tls(session)

    async def _login(self, session: Session, arguments: list[bytes]) -> None:
        await self._sasl(session, arguments[0].upper(), arguments[1:], b"334 ")
        if not await self._acted(session, "login"):
            await session.write((self.refusal or b"235 2.7.0 Accepted") + b"\r\n")

    async def _capability(self, session: Session) -> None:
        if await self._acted(session, "capability"):
            return
        lines = [b"smtp.example.com at your service, [127.0.0.1]", *self.capabilities]
        if self._offers_starttls(session):
            lines.append(b"STARTTLS")
        elif session.encrypted:
            lines.append(b"AUTH " + self.mechanisms)
        await session.write(b"".join(b"250-" + line + b"\r\n" for line in lines[:-1]) + b"250 " + lines[-1] + b"\r\n")
