"""Probes Gmail's IMAP, POP3 and SMTP endpoints on a schedule and exposes what it saw to Prometheus."""

__version__ = "0.2.0"
