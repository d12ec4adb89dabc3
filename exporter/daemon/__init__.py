"""The daemon: start, reload and stop, messages to the service manager, log lines."""
