"""What the command line prints, against real and scripted servers."""
