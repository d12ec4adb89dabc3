"""Fuzzers: what comes from outside, made by the million; see docs/reliability.md."""
