"""Organisations: several people under one name, with seats that the operator has given them."""
