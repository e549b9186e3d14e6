-- An erasure looks among everybody's notifications for those that name whoever goes: as somebody who asks to be friends or has
-- become one, and as who has appealed about a workout.
CREATE INDEX notifications_naming_friend ON notifications ((content ->> 'account_id'))
    WHERE topic IN ('friend.asked', 'friend.made');
CREATE INDEX notifications_of_appeal ON notifications ((content ->> 'workout_id')) WHERE topic = 'appeal.waiting';

-- One of which a bite has failed is left alone until then, and holds up no other.
ALTER TABLE erasures ADD COLUMN retry_at timestamptz;
