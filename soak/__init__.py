"""A bad day in ten minutes: hostile servers and clients, reloads, a moving clock, a blocked log, a locked storage."""
