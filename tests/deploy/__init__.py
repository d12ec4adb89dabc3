"""What is shipped beside the program: the image, and the files in deploy/."""
