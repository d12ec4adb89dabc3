"""Outcomes → what people and scripts read."""
