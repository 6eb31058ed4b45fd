CREATE TABLE files (
    id uuid PRIMARY KEY,
    owner uuid NOT NULL,
    display_name text NOT NULL,
    content_type text NOT NULL,
    size bigint NOT NULL CHECK (size > 0),
    sha256 text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    purpose text NOT NULL CHECK (purpose IN ('RECORDING', 'SPEECH')),
    seconds double precision,
    request_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (owner, request_id)
);
CREATE INDEX files_list ON files (owner, purpose, id DESC);

-- What was ever uploaded; a row stays when its file is deleted.
CREATE TABLE uploads (
    file uuid PRIMARY KEY,
    owner uuid NOT NULL,
    purpose text NOT NULL,
    size bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX uploads_by_owner ON uploads (owner, created_at);

-- Bytes that no file has, or not yet: to be removed from the object store once `due`. An upload is
-- entered here before its first byte is stored, and leaves in the transaction that adds its file.
CREATE TABLE discards (
    file uuid PRIMARY KEY,
    due timestamptz NOT NULL
);
CREATE INDEX discards_due ON discards (due);
