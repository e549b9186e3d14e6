"""Challenges: who does most of something, over days or weeks. Start with `challenge.py`, then `score_log.py`."""
