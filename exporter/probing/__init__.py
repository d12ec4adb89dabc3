"""One probe of one target → Outcome."""
