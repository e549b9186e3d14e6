"""Third-party apps and one's own scripts: what a person lends them (`consents.py`, `api_keys.py`), how they get tokens for it
(`exchanging.py`), and how it is taken back (`grants.py`)."""
