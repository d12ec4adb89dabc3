"""Tests of the fuzzers: that they find what is wrong, and a few cases of each, so that they do not rot."""
