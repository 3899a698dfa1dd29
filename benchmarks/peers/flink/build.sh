#!/usr/bin/env bash
# Fetches Flink as PyPI carries it, compiles our jobs against it and writes a program that runs them. Needs Java 17 and pip.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?where to build}
version=2.2.1

mkdir -p "$out"
out=$(cd "$out" && pwd)
if [ ! -d "$out/flink/pyflink/lib" ]; then
    pip download --quiet --no-deps "apache-flink-libraries==$version" --dest "$out/download"
    mkdir -p "$out/flink"
    (cd "$out/flink" && python3 -m zipfile -e "$out"/download/apache_flink_libraries-"$version"-*.whl .)
fi
rm -rf "$out/classes"
mkdir -p "$out/classes"
javac -nowarn -d "$out/classes" -cp "$out/flink/pyflink/lib/*" "$here"/src/peers/*.java

# What Flink's own start script opens to reflection, as far as these jobs need it.
opens=(java.base/java.lang java.base/java.util java.base/java.util.concurrent java.base/java.util.concurrent.atomic
    java.base/java.nio java.base/sun.nio.ch java.base/java.net java.base/java.io java.base/java.text java.base/java.time
    java.base/java.lang.reflect)
{
    echo '#!/usr/bin/env bash'
    # What a run keeps on disk goes with it.
    printf 'scratch=$(mktemp -d)\ntrap %q EXIT\n' 'rm -rf "$scratch"'
    printf 'java -Xms2g -Xmx8g -Djava.io.tmpdir="$scratch"'
    printf ' --add-opens=%s=ALL-UNNAMED' "${opens[@]}"
    printf ' -cp %q peers.Main "$@" 2> %q\n' "$out/flink/pyflink/lib/*:$out/classes" "$out/log"
} > "$out/flink-peer"
chmod +x "$out/flink-peer"
echo "$out/flink-peer"
