"""What this program asks of the system that it runs on: threads for what may block, and limits of the process."""
