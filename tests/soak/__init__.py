"""Tests of what `make soak` is made of."""
