"""What every subject needs: clock, ids, problems, facts. Small on purpose; nothing here knows a subject."""
