-- The audit log of each user: a chain of events, each of which holds the hash of the one before.
CREATE TABLE audit_events (
    owner uuid NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    id uuid NOT NULL UNIQUE,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    resource text NOT NULL,
    session text NOT NULL,
    api_key text NOT NULL,
    request_id text NOT NULL,
    address text NOT NULL,
    peer text NOT NULL,
    details jsonb NOT NULL,
    previous bytea NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (owner, number)
);
CREATE INDEX audit_events_newest ON audit_events (owner, id DESC);

-- Where each chain begins and ends. When the events of a user are erased, the row stays: the chain then begins
-- where it ended.
CREATE TABLE audit_chains (
    owner uuid PRIMARY KEY,
    length bigint NOT NULL,
    head bytea NOT NULL,
    erased_length bigint NOT NULL DEFAULT 0,
    erased_head bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    erased_at timestamptz
);

-- Only the deletion of an account, which says so for its own transaction, may take events away.
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND TG_LEVEL = 'ROW' AND TG_TABLE_NAME = 'audit_events' THEN
        IF current_setting('voicemesh.erasing', true) = OLD.owner::text THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is only ever added to';
END $$;
CREATE TRIGGER audit_events_stay BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_events_never_truncated BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_chains_stay BEFORE DELETE ON audit_chains
    FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_chains_never_truncated BEFORE TRUNCATE ON audit_chains
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();

CREATE FUNCTION refuse_audit_rewind() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.owner <> OLD.owner OR NEW.length < OLD.length OR NEW.length > OLD.length + 1
        OR NEW.erased_length < OLD.erased_length OR (OLD.erased_at IS NOT NULL AND NEW.erased_at IS NULL) THEN
        RAISE EXCEPTION 'the audit log is only ever added to';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_chains_go_on BEFORE UPDATE ON audit_chains
    FOR EACH ROW EXECUTE FUNCTION refuse_audit_rewind();
