"""The web configuration in force, read again when one of its files changes: a certificate is renewed in passing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from exporter.config.mistake import ConfigError, Mistake
from exporter.config.web import Reading, WebConfig, read_web
from exporter.web.server.passwords import Passwords

LOOK = 5.0
"""Seconds between two looks at the files."""

log = structlog.get_logger("web")


class Live:
    """What is in force now. What cannot be used never is: the old one stays, and the log says so once.

    Args:
        path: The file; None where there is none.
        reading: What was read from it at the start; read now where that is None.

    Raises:
        ConfigError: It cannot be used: rather nothing is answered than everything to everybody.
    """

    config: WebConfig

    def __init__(self, path: Path | None = None, reading: Reading | None = None) -> None:
        self.passwords = Passwords()
        self._path = path
        self._reading = reading or read_web(path)
        if self._reading.config is None:
            raise ConfigError(list(self._reading.mistakes))
        self.config = self._reading.config

    def close(self) -> None:
        """Let nobody in any more, or the end of this program would wait for every password that was guessed."""
        self.passwords.close()

    async def watch(self) -> None:
        """Read the files again whenever one of them has changed, for ever."""
        while True:
            await asyncio.sleep(LOOK)
            # In a thread: a file system over the network may take its time.
            if await asyncio.to_thread(self._reading.is_stale):
                await self._renew()

    async def read(self) -> Reading:
        """Return what the files say now.

        Raises:
            ConfigError: It cannot be used; all mistakes are told. They are not told again until the files change.
        """
        reading = await asyncio.to_thread(read_web, self._path)
        mistakes = list(reading.mistakes)
        if reading.config and (reading.config.tls is None) is not (self.config.tls is None):
            text = "cannot be added or removed while running: restart for that"
            mistakes = [Mistake(str(self._path), 0, 0, "tls_server_config", text)]
        if mistakes:
            self._reading = reading
            raise ConfigError(mistakes)
        return reading

    def adopt(self, reading: Reading) -> None:
        """Put a reading that can be used into force, for every request and handshake from now on."""
        if reading.config is None or reading.stamps == self._reading.stamps:
            return
        self._reading, self.config = reading, reading.config
        log.info("web configuration renewed", users=len(reading.config.users))

    async def _renew(self) -> None:
        try:
            self.adopt(await self.read())
        except ConfigError as error:
            for mistake in error.mistakes:
                log.error("web configuration not renewed; the old one stays", mistake=str(mistake))  # noqa: TRY400
