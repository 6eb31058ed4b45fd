"""The `voicemesh` command: one file a command."""
