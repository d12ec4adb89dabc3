"""What the DNS and the policy host say of a mail domain: its exchanges, MTA-STS, TLS-RPT and DANE."""
