ALTER TABLE speeches
    ADD COLUMN markup text NOT NULL DEFAULT 'PLAIN' CHECK (markup IN ('PLAIN', 'SSML')),
    ADD COLUMN level text NOT NULL DEFAULT '' CHECK (level IN ('', 'INSTANT', 'STUDIO'));

-- Arrays of equal length, one entry a word: places in the text in characters, times in milliseconds.
CREATE TABLE speech_words (
    speech uuid PRIMARY KEY REFERENCES speeches ON DELETE CASCADE,
    text_starts integer[] NOT NULL,
    text_ends integer[] NOT NULL,
    starts integer[] NOT NULL,
    ends integer[] NOT NULL
);
