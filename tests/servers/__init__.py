"""Real servers for the tests, on ephemeral loopback ports, with a throw-away certificate authority."""
