"""What other servers than those of mail say to this exporter: the provider's status, and the answer to a plain request.

A case is incidents.json as text; or, where its first line is a number, an answer: its status, then a header a line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

from exporter.model.evidence import Incident
from exporter.probing.http_client import Answer
from exporter.verdict.incidents import DASHBOARD, MAX_KEPT, FormChanged, Open, read
from exporter.verdict.plain_request import read_answer
from fuzz.fuzzer import Wrong
from fuzz.mutation import ODD_NUMBERS, ODD_OCTETS, SEEDS, Mutator, dictionary

WEB = "www.google.com"

LONGEST = 512
"""Characters of the text of an incident, and of what is said of a file of another form."""

_WORDS: Mapping[str, frozenset[str]] = {
    "severity": frozenset({"low", "medium", "high"}),
    "impact": frozenset({"information", "disruption", "outage"}),
    "status": frozenset({"information", "disruption", "outage", "available"}),
}
_NOW = 1_795_860_000.0


class Feeds:
    """The seeds are files of incidents, and answers."""

    def __init__(self, _directory: Path) -> None:
        seeds = [path.read_bytes() for path in sorted((SEEDS / "feeds").iterdir())]
        words = dictionary("feeds.words")
        self._text = Mutator(seeds, words)
        self._trees = [json.loads(seed) for seed in seeds if seed.startswith(b"[")]
        texts = [one.decode("latin-1") for one in (*words, *ODD_OCTETS)]
        numbers = [int(one) for one in ODD_NUMBERS if one.isdigit() and len(one) < 100]
        self._values: Sequence[Any] = [*texts, *numbers, None, True, -1, 0.5, math.nan, math.inf, [], {}, [None], [[]]]
        self._whole = [one for tree in self._trees for one in tree if read(_encoded([one])).incidents]
        """Incidents of the seeds that are open, which must be told wherever they are."""

    def make(self, random: Random) -> bytes:
        """Return a case: a seed with values changed, or with lines and octets changed."""
        if random.random() < 0.4:
            return self._text(random)
        tree = deepcopy(random.choice(self._trees))
        for _ in range(random.choice((1, 1, 2, 3, 6))):
            self._change(random, tree)
        return _encoded(tree)

    def _change(self, random: Random, tree: Any) -> None:
        inside = random.choice(_containers(tree))
        keys = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
        if not keys:
            return
        key = random.choice(keys)
        match random.randrange(5):
            case 0:
                del inside[key]
            case 1:
                inside[key] = deepcopy(random.choice(_containers(random.choice(self._trees))))
            case 2 if isinstance(inside, list):
                inside += deepcopy([inside[key]]) * random.choice((1, 2, 30))
            case _:
                inside[key] = deepcopy(random.choice(self._values))

    def run(self, case: bytes) -> None:
        """Read the case.

        Raises:
            Wrong: Something that must be true of every one is not.
        """
        first, *others = case.split(b"\n")
        if first.strip().isdigit() and len(first) < 6:
            self._run_answer(int(first), others)
            return
        try:
            found = read(case)
        except FormChanged as changed:
            _check_text(str(changed))
            return
        self._check(case, found)

    def _run_answer(self, status: int, lines: Sequence[bytes]) -> None:
        pairs = (line.decode("latin-1").partition(":") for line in lines)
        said = read_answer(WEB, Answer(status, {name.lower(): value.strip() for name, _, value in pairs}, b""), _NOW)
        if said.date_skew is not None and not math.isfinite(said.date_skew):
            raise Wrong(f"a clock that is not a number: {said.date_skew}")
        if said.portal and said.date_skew is not None:
            raise Wrong("a captive portal has a clock")

    def _check(self, case: bytes, found: Open) -> None:
        for incident in (*found.incidents, *found.notices):
            _check_incident(incident)
        if any(incident.status not in ("disruption", "outage") for incident in found.incidents):
            raise Wrong("a notice is taken for an outage")
        if max(len(found.incidents), len(found.notices)) > MAX_KEPT:
            raise Wrong("too much is kept")
        there = [one for one in json.loads(case) if one in self._whole]
        if there and not found.incidents:
            raise Wrong(f"an outage is not told: {there[0]['id']}")


def _check_incident(incident: Incident) -> None:
    for name, words in _WORDS.items():
        if getattr(incident, name) not in words:
            raise Wrong(f"a word without bounds in {name}: {getattr(incident, name)}")
    if not incident.url.startswith(DASHBOARD) or ".." in incident.url:
        raise Wrong(f"a link leads elsewhere: {incident.url}")
    if not -6.3e10 < incident.begin < 2.6e11:
        raise Wrong(f"a time is in no year: {incident.begin}")
    _check_text(incident.text)
    _check_text(incident.id)


def _check_text(text: str) -> None:
    if len(text) > LONGEST:
        raise Wrong(f"a text is too long: {len(text)}")
    if not text.isprintable():
        raise Wrong(f"a text is not one line: {text!r}")
    text.encode()


def _containers(tree: Any) -> list[Any]:
    """Return the tree, and every list and mapping in it."""
    if not isinstance(tree, list | dict):
        return []
    inner = tree.values() if isinstance(tree, dict) else tree
    return [tree, *(found for one in inner for found in _containers(one))]


def _encoded(tree: Any) -> bytes:
    return json.dumps(tree).encode()
