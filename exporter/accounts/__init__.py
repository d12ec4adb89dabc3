"""Who logs in: secrets, and the budget that protects the account."""
