"""One look at one target → Outcome."""
