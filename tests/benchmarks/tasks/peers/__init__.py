"""The programs that are measured. Celery and procrastinate run in an environment of their own, so their programs import nothing of
Paceline, and what all of them share (orders.py) is the standard library alone."""
