"""HTTP itself: connections, limits, TLS, passwords, headers."""
