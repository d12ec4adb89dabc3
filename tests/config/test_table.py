"""How keys are declared: the defaults of a table are those of its settings class."""

from dataclasses import dataclass, field

from exporter.config.table import Key, Table, Value


@dataclass(frozen=True)
class Settings:
    host: str
    port: int = 993
    labels: dict[str, str] = field(default_factory=dict)


def test_defaults_are_of_the_model() -> None:
    """A default is written once, in the settings class; a field without one has None."""
    assert Table(Settings).defaults == {"host": None, "port": 993, "labels": {}}
    assert Table(None).defaults == {}


def test_attribute() -> None:
    """A key has the name of its field, unless that cannot be a name in Python."""
    value = Value("text", lambda _node, _context: "")
    assert Key("to", value, "", "").attribute == "to"
    assert Key("from", value, "", "", field="sender").attribute == "sender"


def test_keys_keep_their_order() -> None:
    """The order of the declaration is that of the documentation and of a written file."""
    value = Value("text", lambda _node, _context: "")
    assert list(Table(None, Key("b", value, "", ""), Key("a", value, "", "")).keys) == ["b", "a"]
