CREATE TABLE profiles (
    owner uuid PRIMARY KEY,
    display_name text NOT NULL DEFAULT '',
    bio text NOT NULL DEFAULT '',
    etag uuid NOT NULL DEFAULT gen_random_uuid(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE preferences (
    owner uuid PRIMARY KEY,
    default_voice text NOT NULL DEFAULT '',
    language text NOT NULL DEFAULT '',
    theme text NOT NULL DEFAULT 'THEME_UNSPECIFIED' CHECK (theme IN ('THEME_UNSPECIFIED', 'LIGHT', 'DARK')),
    email_on_completion boolean NOT NULL DEFAULT false,
    etag uuid NOT NULL DEFAULT gen_random_uuid(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
