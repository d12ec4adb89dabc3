"""Whose fault an outage is: what is looked at beside the failed probe, and the table that judges it."""
