"""Test messages: sent as one account, found as another, and cleared away."""
