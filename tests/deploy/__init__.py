"""The files that are shipped beside the program: the image, and everything in deploy/."""
