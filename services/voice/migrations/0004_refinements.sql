-- What is said in each recording, as far as the creator knows; and how deep the voice is to be refined: NULL as the
-- platform is set up.
ALTER TABLE voices
    ADD COLUMN transcripts text[] NOT NULL DEFAULT '{}',
    ADD COLUMN refinement_depth text CHECK (refinement_depth IN ('NONE', 'STANDARD', 'HIGH'));

-- How near the voice comes to the person, as the engine measured it while refining.
ALTER TABLE artefacts ADD COLUMN score double precision;

-- One row for each voice that is, or was, refined.
CREATE TABLE refinements (
    id uuid PRIMARY KEY REFERENCES voices ON DELETE CASCADE,
    owner uuid NOT NULL,
    depth text NOT NULL CHECK (depth IN ('STANDARD', 'HIGH')),
    state text NOT NULL DEFAULT 'PENDING'
        CHECK (state IN ('PENDING', 'PROCESSING', 'READY', 'FAILED', 'CANCELLED')),
    stage text NOT NULL DEFAULT '',
    progress_percent smallint NOT NULL DEFAULT 0 CHECK (progress_percent BETWEEN 0 AND 100),
    failure_reason text,
    failure_message text,
    kept boolean NOT NULL DEFAULT false,
    score_before double precision,
    score_after double precision,
    updated_at timestamptz NOT NULL DEFAULT now(),
    ready_at timestamptz,
    attempt integer NOT NULL DEFAULT 1,
    run integer NOT NULL DEFAULT 0,
    job bigint
);

CREATE FUNCTION tell_watchers_of_voice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('voicemesh_changes', 'voices/' || coalesce(NEW.id, OLD.id));
    RETURN NULL;
END $$;
CREATE TRIGGER refinements_changed AFTER INSERT OR UPDATE OR DELETE ON refinements
    FOR EACH ROW EXECUTE FUNCTION tell_watchers_of_voice();
