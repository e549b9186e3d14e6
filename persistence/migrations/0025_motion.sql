-- Samples that carry more than the heart: m on the device's counter, W, turns or steps per minute. Null where no sample of the batch
-- says so, which is most of them and everything that was stored before.
ALTER TABLE sample_batches
    ADD COLUMN distance_m integer[],
    ADD COLUMN power_w smallint[],
    ADD COLUMN cadence smallint[];

-- Where the motion of a stream has got to, and what of it was earned for its class (services/training/motion.py), beside zone_ms.
-- Null while none of its samples has any.
ALTER TABLE streams ADD COLUMN motion jsonb;
