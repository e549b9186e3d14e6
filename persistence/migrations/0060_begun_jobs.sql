-- How often a job was begun since a bite of it last came to an end, good or bad. What kills its process comes to none:
-- it rests ever longer (workers/schedule.py).
ALTER TABLE schedule_jobs ADD COLUMN begun integer NOT NULL DEFAULT 0;
