"""Messages over IMAP: found by their header, moved to the trash, and nothing else touched."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.settings import Role
from exporter.probing.connection import ConnectionClosed
from exporter.probing.dialogue import MAX_LITERAL, CannotClear, ProtocolViolation, Refusal, ResponseTooLarge
from exporter.probing.imap_messages import (
    MAX_FOUND,
    capability,
    clear,
    idle,
    list_folders,
    look_for,
    noop,
    survey,
)
from tests.probing.fake_mailbox import FakeMailbox, Message
from tests.probing.work import play

MOVE = frozenset({b"IMAP4REV1", b"MOVE", b"UIDPLUS"})
UIDPLUS = frozenset({b"IMAP4REV1", b"UIDPLUS"})
NEITHER = frozenset({b"IMAP4REV1"})
ID = "<gmail-exporter.1.2.3@example.com>"
SUBJECT = "gmail-exporter test message"
PEEK = f"BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]<0.{MAX_LITERAL}>"
OF_ITS_WAY = f"BODY.PEEK[HEADER.FIELDS (RECEIVED AUTHENTICATION-RESULTS)]<0.{MAX_LITERAL}>"


def tags() -> Iterator[bytes]:
    """Return the tags d1, d2, and so on."""
    return (b"d%d" % number for number in count(1))


def is_ours(header: bytes) -> bool:
    """Whether it has the secret mark of this test."""
    return b"ours" in header


def test_a_message_is_found() -> None:
    """EXAMINE opens the folder read-only, SEARCH finds the message, and FETCH reads a few fields without a flag."""
    text = rf"""
        C: d1 EXAMINE "[Gmail]/Spam"
        S: * 3 EXISTS
        S: d1 OK [READ-ONLY] done
        C: d2 UID SEARCH UNDELETED HEADER MESSAGE-ID "{ID}"
        S: * SEARCH 17
        S: d2 OK done
        C: d3 UID FETCH 17 (UID {PEEK})
        S: * 3 FETCH (UID 17 BODY[HEADER.FIELDS (MESSAGE-ID)]<0> {{8}}
        L: ours\r\n\r\n
        S: )
        S: d3 OK done
        C: d4 UID FETCH 17 (UID {OF_ITS_WAY})
        S: * 3 FETCH (UID 17 BODY[HEADER.FIELDS (RECEIVED AUTHENTICATION-RESULTS)]<0> {{17}}
        L: Received: a; b\r\n\r\n
        S: )
        S: d4 OK done
    """
    assert play(look_for(tags(), b"[Gmail]/Spam", ID, is_ours), text) == (b"Received: a; b\r\n\r\n", 6.0)


def test_identifier_behind_the_header() -> None:
    """The items of a FETCH come in any order, and other responses may stand between."""
    text = rf"""
        C: d1 EXAMINE "INBOX"
        S: d1 OK
        C: d2 UID SEARCH UNDELETED HEADER MESSAGE-ID "{ID}"
        S: * 4 EXISTS
        S: * SEARCH
        S: * SEARCH 17 x 0 99999999999
        S: d2 OK
        C: d3 UID FETCH 17 (UID {PEEK})
        S: * 2 FETCH (FLAGS (\Seen))
        S: * 3 FETCH (BODY[HEADER.FIELDS ("MESSAGE-ID")]<0> {{6}}
        L: ours\r\n
        S:  UID 17)
        S: d3 OK
        C: d4 UID FETCH 17 (UID {OF_ITS_WAY})
        S: d4 OK
    """
    assert play(look_for(tags(), b"INBOX", ID, is_ours), text) == (b"", 7.0)


def cleared(answer: str, *rest: str) -> int:
    """How many messages are cleared away where that is the answer to the FETCH of two, and so the session goes on."""
    text = f"""
        C: d1 SELECT "INBOX"
        S: d1 OK
        C: d2 UID SEARCH SUBJECT "{SUBJECT}"
        S: * SEARCH 17 18
        S: d2 OK
        C: d3 UID FETCH 17,18 (UID {PEEK})
        {answer.strip()}
        S: d3 OK
    """
    return play(clear(tags(), MOVE, (b"INBOX", b"Trash"), SUBJECT, is_ours), "\n".join([text.rstrip(), *rest]))


@pytest.mark.parametrize(
    "answer",
    [
        # Items that nobody asked for, with literals and quoted text of their own
        r"""
        S: * 3 FETCH (X-GM-LABELS ({4}
        L: ours
        S:  "UID 18 ") UID 17 BODY[HEADER.FIELDS (MESSAGE-ID)]<0> {6}
        L: ours\r\n
        S:  FLAGS (\Seen) BODY[TEXT]<0> {8}
        L: theirs\r\n
        S: )
        """,
        r"""
        S: * 3 FETCH (X ("x {5} UID 18 BODY[HEADER.FIELDS (MESSAGE-ID)] {6}") UID 17 BODY[HEADER.FIELDS ("M")]<0> {6}
        L: ours\r\n
        S: )
        """,
        # A header in a form of its own
        r"""
        S: * 3 fetch (body[header] {6}
        L: ours\r\n
        S:  uid 17)
        """,
    ],
)
def test_items_that_nobody_asked_for(answer: str) -> None:
    """Whatever else a server sends of a message, its identifier and its header are told from that."""
    assert cleared(answer, 'C: d4 UID MOVE 17 "Trash"', "S: d4 OK") == 1


@pytest.mark.parametrize(
    "answer",
    [
        "S: * 3 FETCH (UID 17 A {4}\nL: ours\nS:  B {4}\nL: ours\nS: )",
        "S: * 3 FETCH (UID 17 A {4}\nL: them\nS:  BODY[HEADER.FIELDS (M)]<0> {4}\nL: ours\nS:  UID 18)",
        "S: * 3 FETCH (UID 17 UID 18 BODY[HEADER.FIELDS (M)]<0> {4}\nL: ours\nS: )",
    ],
)
def test_what_is_not_told_apart(answer: str) -> None:
    """Where it cannot be told what a literal is, or of which message, it is nobody's."""
    assert cleared(answer) == 0


def test_long_fields_above_the_identifier() -> None:
    """A message is known however much stands above its Message-ID; of its way, the first octets are read."""
    way = b"".join(b"Authentication-Results: mx%d.example.com; spf=pass\r\n" % number for number in range(1000))
    server = FakeMailbox({b"INBOX": [Message(way + b"Message-ID: %s ours\r\n\r\n" % ID.encode())]})
    found = server.do(look_for(tags(), b"INBOX", ID, is_ours))
    assert found is not None
    assert found[0] == way[:MAX_LITERAL]


@pytest.mark.parametrize("search", ["* SEARCH", "* 3 EXISTS", "* ESEARCH (TAG d2) UID"])
def test_nothing_is_found(search: str) -> None:
    """Without a number there is no FETCH."""
    text = f"""
        C: d1 EXAMINE "INBOX"
        S: d1 OK
        C: d2 UID SEARCH UNDELETED HEADER MESSAGE-ID "{ID}"
        S: {search}
        S: d2 OK
    """
    assert play(look_for(tags(), b"INBOX", ID, is_ours), text) is None


def test_another_message_is_found() -> None:
    """A server may find what only has the text of our Message-ID somewhere: the header decides."""
    text = rf"""
        C: d1 EXAMINE "INBOX"
        S: d1 OK
        C: d2 UID SEARCH UNDELETED HEADER MESSAGE-ID "{ID}"
        S: * SEARCH 17
        S: d2 OK
        C: d3 UID FETCH 17 (UID {PEEK})
        S: * 3 FETCH (UID 17 BODY[HEADER.FIELDS (MESSAGE-ID)]<0> {{8}}
        L: theirs\r\n
        S: )
        S: d3 OK
    """
    assert play(look_for(tags(), b"INBOX", ID, is_ours), text) is None


def test_refused() -> None:
    """A folder that does not open, and a session that ends, are refusals."""
    with pytest.raises(Refusal, match="Unknown Mailbox") as caught:
        play(
            look_for(tags(), b"x", ID, is_ours),
            'C: d1 EXAMINE "x"\nS: d1 NO [NONEXISTENT] Unknown Mailbox: x (Failure)',
        )
    assert caught.value.in_step
    with pytest.raises(Refusal, match="System Error") as caught:
        play(look_for(tags(), b"x", ID, is_ours), 'C: d1 EXAMINE "x"\nS: * BYE System Error')
    assert not caught.value.in_step
    with pytest.raises(ResponseTooLarge):
        play(
            look_for(tags(), b"x", ID, is_ours),
            f'C: d1 EXAMINE "x"\nS: d1 OK\nC: d2 UID SEARCH UNDELETED HEADER MESSAGE-ID "{ID}"\nS: * SEARCH 1\n'
            "S: d2 OK\n"
            f"C: d3 UID FETCH 1 (UID {PEEK})\nS: * 1 FETCH (UID 1 BODY[] {{8193}}",
        )


# IDLE


def test_the_server_tells_of_a_message() -> None:
    """The time is that of EXISTS; DONE ends it, and what comes before the answer is read."""
    text = """
        C: d1 IDLE
        S: + idling
        S: * 3 EXPUNGE
        S: * 4 EXISTS
        C: DONE
        S: * 1 RECENT
        S: d1 OK IDLE terminated (Success)
    """
    assert play(idle(b"d1", 15), text) == 4


def test_the_server_tells_of_a_message_at_once() -> None:
    """A message that came before the server idles is one, too."""
    assert play(idle(b"d1", 15), "C: d1 IDLE\nS: * 4 EXISTS\nS: + idling\nC: DONE\nS: d1 OK") == 3


def test_nothing_comes() -> None:
    """After the time is over, IDLE ends without a message."""
    assert play(idle(b"d1", 15), "C: d1 IDLE\nS: + idling\nS: * OK still here\nS: x\nT:\nC: DONE\nS: d1 OK") is None


def test_a_busy_folder() -> None:
    """What the server tells of other messages does not make IDLE longer: a line takes a second here."""
    lines = "\n".join("S: * 3 FETCH (FLAGS (\\Seen))" for _ in range(10))
    assert play(idle(b"d1", 10), f"C: d1 IDLE\nS: + idling\n{lines}\nC: DONE\nS: d1 OK") is None


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("* BYE Session expired, please login again.", Refusal),
        ("d1 OK what?", ProtocolViolation),
        ("d1 BAD what?", ProtocolViolation),
        ("* 4 EXISTS\0", ProtocolViolation),
    ],
)
def test_idle_ends_early(line: str, error: type[Exception]) -> None:
    """A server that ends the session or IDLE is found out."""
    with pytest.raises(error):
        play(idle(b"d1", 15), f"C: d1 IDLE\nS: + idling\nS: {line}")
    with pytest.raises(ConnectionClosed):
        play(idle(b"d1", 15), "C: d1 IDLE\nS: + idling")


# Small ones


def test_the_others() -> None:
    """NOOP, CAPABILITY and LIST after the login."""
    play(noop(b"d1"), "C: d1 NOOP\nS: * 4 EXISTS\nS: d1 OK Success")
    names = play(capability(b"d1"), "C: d1 CAPABILITY\nS: * CAPABILITY IMAP4rev1 Move\nS: d1 OK")
    assert names == {b"IMAP4REV1", b"MOVE"}
    found = play(
        list_folders(tags(), MOVE, (Role.INBOX, Role.SPAM, Role.TRASH)),
        r"""
        C: d1 LIST "" "*"
        S: * LIST (\HasNoChildren) "/" "INBOX"
        S: * LIST (\HasNoChildren \Junk) "/" "[Gmail]/&BCEEPwQwBDw-"
        S: d1 OK Success
        """,
    )
    assert found == {Role.INBOX: b"INBOX", Role.SPAM: b"[Gmail]/&BCEEPwQwBDw-"}


def test_an_inbox_that_is_not_listed() -> None:
    """It is there all the same, and other folders are not."""
    text = 'C: d1 LIST "" "*"\nS: d1 OK Success'
    assert play(list_folders(tags(), MOVE, (Role.INBOX, Role.TRASH)), text) == {Role.INBOX: b"INBOX"}
    assert play(list_folders(tags(), MOVE, (Role.SENT, Role.TRASH)), text) == {}


# Clearing away


def header(kind: str, number: int) -> bytes:
    """The header of a message of a kind."""
    subjects = {"theirs": "Lunch?", "imitated": f"Re: {SUBJECT}", "ours": SUBJECT}
    return f"Message-ID: <{kind}.{number}@example.com>\r\nSubject: {subjects[kind]}\r\n\r\n".encode()


MESSAGES = st.lists(
    st.tuples(
        st.sampled_from(["theirs", "imitated", "ours"]),
        st.sets(st.sampled_from(["\\Deleted", "\\Seen", "\\Flagged"])),
    ),
    max_size=130,
)


def mailbox(inbox: list[tuple[str, set[str]]]) -> FakeMailbox:
    """A mailbox with these messages in the inbox, and some of all kinds elsewhere."""
    others = [Message(header(kind, 1000)) for kind in ("theirs", "imitated", "ours")]
    messages = [Message(header(kind, number), set(flags)) for number, (kind, flags) in enumerate(inbox)]
    return FakeMailbox({b"INBOX": messages, b"Trash": deepcopy(others), b'A "b" \\': deepcopy(others)})


@given(MESSAGES, st.sampled_from([MOVE, UIDPLUS, frozenset({b"IMAP4REV2"})]))
def test_nobody_elses_message_is_touched(inbox: list[tuple[str, set[str]]], capabilities: frozenset[bytes]) -> None:
    """Whatever is in the mailbox: our messages are in the trash, and every other one is as it was, its flags too."""
    server = mailbox(inbox)
    before = deepcopy(server.folders)
    cleared = server.do(clear(tags(), capabilities, (b"INBOX", b"Trash"), SUBJECT, is_ours))
    ours = [one for one in before[b"INBOX"] if b"ours" in one.header]
    assert cleared == len(ours)
    assert server.folders[b"INBOX"] == [one for one in before[b"INBOX"] if one not in ours]
    assert server.folders[b"Trash"][:3] == before[b"Trash"]
    assert [one.header for one in server.folders[b"Trash"][3:]] == [one.header for one in ours]
    assert server.folders[b'A "b" \\'] == before[b'A "b" \\']
    assert not any(word in command.split()[1:2] for command in server.commands for word in (b"EXPUNGE", b"CLOSE"))


@given(MESSAGES)
def test_nothing_is_cleared_without_means(inbox: list[tuple[str, set[str]]]) -> None:
    """Where a server could only expunge what others have deleted as well, nothing is done, and that is told."""
    server = mailbox(inbox)
    before = deepcopy(server.folders)
    has_ours = any(kind == "ours" for kind, _ in inbox)
    work = clear(tags(), NEITHER, (b"INBOX", b"Trash"), SUBJECT, is_ours)
    if has_ours:
        with pytest.raises(CannotClear, match="neither MOVE"):
            server.do(work)
    else:
        assert server.do(work) == 0
    assert server.folders == before


def test_survey() -> None:
    """Messages of ours are counted, in a folder with any name, and nothing is changed."""
    server = mailbox([])
    before = deepcopy(server.folders)
    assert server.do(survey(tags(), b'A "b" \\', SUBJECT, is_ours)) == 1
    assert server.folders == before
    assert not any(b"SELECT" in command for command in server.commands)


def test_many_that_imitate_ours() -> None:
    """Of many messages with our subject, the newest are looked at."""
    imitated: list[tuple[str, set[str]]] = [("imitated", set())] * MAX_FOUND
    server = mailbox([*imitated, ("ours", set())])
    assert server.do(clear(tags(), MOVE, (b"INBOX", b"Trash"), SUBJECT, is_ours)) == 1
    assert len(server.folders[b"INBOX"]) == MAX_FOUND
    server = mailbox([("ours", set()), *imitated])
    assert server.do(clear(tags(), MOVE, (b"INBOX", b"Trash"), SUBJECT, is_ours)) == 0


def test_a_server_that_answers_for_other_messages() -> None:
    """A header that the server gives for a message that was not asked for moves nothing."""
    text = rf"""
        C: d1 SELECT "INBOX"
        S: d1 OK
        C: d2 UID SEARCH SUBJECT "{SUBJECT}"
        S: * SEARCH 17
        S: d2 OK
        C: d3 UID FETCH 17 (UID {PEEK})
        S: * 3 FETCH (UID 18 BODY[HEADER.FIELDS (MESSAGE-ID)]<0> {{6}}
        L: ours\r\n
        S: )
        S: d3 OK
    """
    assert play(clear(tags(), MOVE, (b"INBOX", b"Trash"), SUBJECT, is_ours), text) == 0
