-- What the boards of classes were made of, beat by beat, so that a class plays again.

-- One tape per room that a node has held, named by the epoch of its board; its pieces are numbered from 1. `notes` is packed and
-- compressed already (rooms/tape.py), and knows members by their number alone. A piece that is `whole` needs none before it.
CREATE TABLE class_tapes (
    class_id        uuid NOT NULL REFERENCES classes (id) ON DELETE CASCADE,
    tape            text NOT NULL,
    n               integer NOT NULL,
    node            text NOT NULL,
    begins_at       timestamptz NOT NULL,
    ends_at         timestamptz NOT NULL,
    whole           boolean NOT NULL,
    notes           bytea NOT NULL,
    PRIMARY KEY (class_id, tape, n)
);
ALTER TABLE class_tapes ALTER COLUMN notes SET STORAGE EXTERNAL;
CREATE INDEX class_tapes_by_age ON class_tapes (ends_at);
