"""YAML → settings; every mistake with its line and column."""
