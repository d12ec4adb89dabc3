"""Tests of exporter.config, one file per module, and `bad/`: files that must not load, each with its mistakes."""
