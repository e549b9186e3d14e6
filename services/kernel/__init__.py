"""What every subject needs: clock, ids, who is asking, problems, facts. Small on purpose; nothing here knows a subject."""
