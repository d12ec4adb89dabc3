"""Accounts: secrets, access tokens, and the login budget that protects an account."""
