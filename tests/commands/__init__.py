"""The output of the commands, with real and scripted servers."""
