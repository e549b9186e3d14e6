"""Safety: when a heart rate gives reason to ask whether somebody is all right (`watching.py`), and who is told then
(`incident.py`)."""
