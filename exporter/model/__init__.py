"""What everything speaks of: settings, addresses, reasons, outcomes. It imports the standard library alone."""
