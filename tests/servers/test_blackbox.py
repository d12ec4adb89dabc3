"""blackbox_exporter probes and ends as `blackbox.py` claims."""

from __future__ import annotations

import pytest

from tests.servers.blackbox import Blackbox
from tests.servers.process import ServerError, is_listening, is_running


def test_blackbox(free_port: int) -> None:
    """It answers for its modules, and leaves no process when stopped."""
    with Blackbox({"tcp": {"prober": "tcp", "timeout": "30s"}}) as server:
        assert "probe_success 0\n" in server.probe("tcp", f"127.0.0.1:{free_port}")
        assert "probe_success 1\n" in server.probe("tcp", server.address)
        with pytest.raises(ServerError, match="runs already"):
            server.start()
        members = server.members()
    assert members
    assert not [pid for pid in members if is_running(pid)]
    assert not is_listening(server.port)


def test_bad_configuration() -> None:
    """What it does not like about its configuration is in the failure."""
    with pytest.raises(ServerError, match="unknown_key"), Blackbox({"tcp": {"unknown_key": 1}}):
        pass
