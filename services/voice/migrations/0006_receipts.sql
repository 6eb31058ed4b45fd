-- It outlives its speech and its voice: audio that is out in the world stays recognisable. What is signed names nobody.
CREATE TABLE receipts (
    id uuid PRIMARY KEY,
    owner uuid NOT NULL,
    sha256 bytea NOT NULL,
    token text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX receipts_sha256 ON receipts (sha256);

ALTER TABLE speeches ADD COLUMN receipt uuid;
