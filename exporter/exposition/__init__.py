"""Outcomes → metrics."""
