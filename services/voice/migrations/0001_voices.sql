CREATE TABLE voices (
    id uuid PRIMARY KEY,
    owner uuid NOT NULL,
    display_name text NOT NULL,
    description text NOT NULL,
    recordings text[] NOT NULL,
    state text NOT NULL DEFAULT 'PENDING'
        CHECK (state IN ('PENDING', 'PROCESSING', 'READY', 'FAILED', 'CANCELLED')),
    stage text NOT NULL DEFAULT '',
    progress_percent smallint NOT NULL DEFAULT 0 CHECK (progress_percent BETWEEN 0 AND 100),
    failure_reason text,
    failure_message text,
    report jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    ready_at timestamptz,
    version integer NOT NULL DEFAULT 1,
    attempt integer NOT NULL DEFAULT 1,
    run integer NOT NULL DEFAULT 0,
    job bigint,
    request_id uuid,
    request_digest bytea NOT NULL,
    UNIQUE (owner, request_id)
);
CREATE INDEX voices_owner ON voices (owner, id DESC);

-- It outlives its voice, since what the voice has said may.
CREATE TABLE consents (
    voice uuid PRIMARY KEY,
    owner uuid NOT NULL,
    statement text NOT NULL,
    given_by text NOT NULL,
    given_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a consent stays as it was given';
END $$;
CREATE TRIGGER consents_immutable BEFORE UPDATE ON consents FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE artefacts (
    voice uuid NOT NULL REFERENCES voices ON DELETE CASCADE,
    version integer NOT NULL,
    level text NOT NULL CHECK (level IN ('INSTANT', 'STUDIO')),
    engine text NOT NULL,
    model_hash text NOT NULL,
    content bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (voice, version)
);

-- `voice` may outlive its row: finished speech stays when its voice is deleted.
CREATE TABLE speeches (
    id uuid PRIMARY KEY,
    owner uuid NOT NULL,
    voice uuid NOT NULL,
    text text NOT NULL,
    format text NOT NULL,
    sample_rate integer NOT NULL,
    speed double precision NOT NULL,
    state text NOT NULL DEFAULT 'PENDING'
        CHECK (state IN ('PENDING', 'PROCESSING', 'READY', 'FAILED', 'CANCELLED')),
    stage text NOT NULL DEFAULT '',
    progress_percent smallint NOT NULL DEFAULT 0 CHECK (progress_percent BETWEEN 0 AND 100),
    failure_reason text,
    failure_message text,
    audio text,
    audio_seconds double precision,
    characters integer NOT NULL DEFAULT 0,
    engine text NOT NULL DEFAULT '',
    model_hash text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    ready_at timestamptz,
    attempt integer NOT NULL DEFAULT 1,
    run integer NOT NULL DEFAULT 0,
    job bigint,
    request_id uuid,
    request_digest bytea NOT NULL,
    UNIQUE (owner, request_id)
);
CREATE INDEX speeches_owner ON speeches (owner, id DESC);

-- One row for each piece of work, written in the transaction of the work itself.
CREATE TABLE usage_ledger (
    work uuid PRIMARY KEY,
    owner uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    voices_created integer NOT NULL DEFAULT 0,
    characters bigint NOT NULL DEFAULT 0,
    audio_seconds double precision NOT NULL DEFAULT 0
);
CREATE INDEX usage_ledger_owner ON usage_ledger (owner, at);

CREATE FUNCTION tell_watchers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('voicemesh_changes', TG_TABLE_NAME || '/' || coalesce(NEW.id, OLD.id));
    RETURN NULL;
END $$;
CREATE TRIGGER voices_changed AFTER UPDATE OR DELETE ON voices FOR EACH ROW EXECUTE FUNCTION tell_watchers();
CREATE TRIGGER speeches_changed AFTER UPDATE OR DELETE ON speeches FOR EACH ROW EXECUTE FUNCTION tell_watchers();
