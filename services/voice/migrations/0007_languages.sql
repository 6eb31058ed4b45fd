-- The tag of the language that the text is in, as the engine writes it.
ALTER TABLE speeches ADD COLUMN language text NOT NULL DEFAULT 'en-US';
