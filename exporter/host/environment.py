"""The environment variables of this process, of which those that hold secrets are taken out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping


class Environment(Mapping[str, str]):
    """Environment variables, which are those of the process until they are taken.

    A variable that was taken is only here: no child of the process has it, and a reload still finds it.
    """

    def __init__(self, source: Mapping[str, str]) -> None:
        self._source = source
        self._taken: dict[str, str] = {}

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Environment:
        """Return these variables as an Environment, which they may be already."""
        return variables if isinstance(variables, Environment) else cls(variables)

    def take(self, names: Iterable[str]) -> None:
        """Copy these variables, and take them out of the process."""
        if isinstance(self._source, MutableMapping):
            for name in self._source.keys() & set(names):
                self._taken.setdefault(name, self._source.pop(name))

    def __getitem__(self, name: str) -> str:
        return self._taken[name] if name in self._taken else self._source[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._source, **self._taken})

    def __len__(self) -> int:
        return len(self._source.keys() | self._taken.keys())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({sorted(self)})"
