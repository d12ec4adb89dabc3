"""Tests of exporter.config, one file per module, and `bad/`: files that must not load, with what is said of them."""
