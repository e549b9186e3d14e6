"""What happens by the clock: when a job is due (`timetable.py`), and facts that are told later (`later.py`)."""
