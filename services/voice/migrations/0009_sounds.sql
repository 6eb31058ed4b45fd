-- Of the sound alone, so that a file is recognised whose manifest was taken out.
ALTER TABLE receipts ADD COLUMN sound bytea;
CREATE INDEX receipts_sound ON receipts (sound) WHERE sound IS NOT NULL;
