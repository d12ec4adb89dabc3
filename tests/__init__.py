"""The tests: they mirror exporter/, and tests/servers/ starts the real servers."""
