-- How somebody wants to see distances and weights; everything is kept metric.
ALTER TABLE accounts ADD COLUMN units text NOT NULL DEFAULT 'metric' CHECK (units IN ('metric', 'imperial'));
