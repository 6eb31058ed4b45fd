#!/bin/sh
# Runs a command with its secrets: each file in the folder is a setting of that name, which the environment
# overrules. A file, unlike a variable of the container, is not shown by `docker inspect`.
set -eu
for file in /run/voicemesh/secrets/VOICEMESH_*; do
    name=${file##*/}
    if [ -f "$file" ] && ! printenv "$name" >/dev/null; then
        value=$(cat "$file")
        export "$name=$value"
    fi
done
exec "$@"
