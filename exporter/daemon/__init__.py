"""The process: start, reload, stop, and what it tells its service manager and its log."""
