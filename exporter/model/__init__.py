"""The vocabulary: settings, addresses, reasons, Outcomes. It imports the standard library alone."""
