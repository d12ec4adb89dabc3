"""When a target is probed, and what becomes of the Outcome."""
