"""The dashboard's rows, a module each, from top to bottom: each answers one question of the person on call."""
