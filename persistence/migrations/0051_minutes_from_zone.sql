-- The board of a class may be ranked by the time in a zone and above, as a heat counts it.
ALTER TABLE classes
    DROP CONSTRAINT classes_metric_check,
    ADD CONSTRAINT classes_metric_check
        CHECK (metric IN (
            'effort', 'zone_minutes', 'minutes_from_zone_2', 'minutes_from_zone_3', 'minutes_from_zone_4',
            'minutes_from_zone_5', 'distance', 'calories', 'power_per_kg', 'improvement'
        ));
