-- The board of a class may be ranked by how far people have come, and by their power per kg.
ALTER TABLE classes
    DROP CONSTRAINT classes_metric_check,
    ADD CONSTRAINT classes_metric_check
        CHECK (metric IN ('effort', 'zone_minutes', 'distance', 'calories', 'power_per_kg', 'improvement'));
