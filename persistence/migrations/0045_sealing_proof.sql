-- Something that the keys of the installation have sealed. A process with other keys finds out by it before it does anything.
CREATE TABLE sealing_proof (
    n               integer PRIMARY KEY DEFAULT 1 CHECK (n = 1),
    sealed          bytea NOT NULL
);
