"""Every regular expression of the program takes steps in proportion to the length of the text."""
