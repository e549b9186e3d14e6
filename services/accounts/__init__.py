"""Accounts: who somebody is, how they log in, what their token says."""
