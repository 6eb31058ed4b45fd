-- Which recordings a consent is for, by the SHA-256 of their bytes, in hexadecimal, and from where it was given. Of
-- consents from before, nobody wrote it down.
ALTER TABLE consents
    ADD COLUMN recordings text[] NOT NULL DEFAULT '{}',
    ADD COLUMN digests text[] NOT NULL DEFAULT '{}',
    ADD COLUMN address text NOT NULL DEFAULT '',
    ADD COLUMN phrase text NOT NULL DEFAULT '',
    ADD COLUMN check_name text NOT NULL DEFAULT '',
    ADD CHECK (cardinality(recordings) = cardinality(digests));
CREATE INDEX consents_owner ON consents (owner, voice DESC);

-- Phrases that were given out to be spoken; each is good for one voice.
CREATE TABLE consent_challenges (
    id uuid PRIMARY KEY,
    owner uuid NOT NULL,
    phrase text NOT NULL,
    check_name text NOT NULL,
    expires_at timestamptz NOT NULL,
    voice uuid UNIQUE
);
CREATE INDEX consent_challenges_owner ON consent_challenges (owner);

-- That the phrase of a consent was heard in a recording.
CREATE TABLE consent_hearings (
    voice uuid PRIMARY KEY REFERENCES consents ON DELETE CASCADE,
    owner uuid NOT NULL,
    heard_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE consent_revocations (
    voice uuid PRIMARY KEY REFERENCES consents ON DELETE CASCADE,
    owner uuid NOT NULL,
    revoked_at timestamptz NOT NULL DEFAULT now(),
    address text NOT NULL
);

-- Only the deletion of an account, which says so for its own transaction, may take consents away.
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF current_setting('voicemesh.erasing', true) = OLD.owner::text THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'a consent stays as it was given';
END $$;
CREATE TRIGGER consents_kept BEFORE DELETE ON consents FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER consents_never_truncated BEFORE TRUNCATE ON consents
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER revocations_kept BEFORE UPDATE OR DELETE ON consent_revocations
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER hearings_kept BEFORE UPDATE OR DELETE ON consent_hearings
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER hearings_never_truncated BEFORE TRUNCATE ON consent_hearings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER revocations_never_truncated BEFORE TRUNCATE ON consent_revocations
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
