#!/usr/bin/env bash
# One expects a formatter to lay a file out alike under every Python, and never to touch the inside of a string. snakefmt 2.1.0
# takes a file apart with Python's own tokenizer. Since Python 3.12 that yields the parts of an f-string as tokens of their own, and
# snakefmt writes an expression inside it anew with a space lost before an operator that follows a closing bracket
# (`{'a' if x['k'] == 'v' else 'b'}` becomes `{'a' if x['k']== 'v' else 'b'}`); under 3.11 the same file is left as it is, and what
# 3.12 wrote is found in order by both. The meaning stays, but a repository whose formatting is checked passes on one Python and
# fails on the next, with the same lock. Here the gate was green on 3.11 and red on 3.13; workflow/rules has no operator inside
# an f-string of that kind any more. Needs python3.11 and python3.12 or python3.13 on the PATH.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
newer=$(command -v python3.13 || command -v python3.12)
python3.11 -m venv "$folder/old"
"$newer" -m venv "$folder/new"
for side in old new; do
    "$folder/$side/bin/pip" install --quiet --disable-pip-version-check snakefmt==2.1.0 black==26.10.1 2> "$folder/pip.log" \
        || { cat "$folder/pip.log"; exit 1; }
done

cat > "$folder/given.smk" <<'SMK'
rule a:
    input:
        f"{config['root']}/{'a.csv' if config['kind'] == 'one' else 'b.csv'}",
SMK
for side in old new; do
    cp "$folder/given.smk" "$folder/$side.smk"
    "$folder/$side/bin/snakefmt" "$folder/$side.smk" > "$folder/$side.log" 2>&1
    echo "$("$folder/$side/bin/python" --version), $("$folder/$side/bin/snakefmt" --version):"
    tail -1 "$folder/$side.smk"
done
cmp -s "$folder/given.smk" "$folder/old.smk" || { echo "Python 3.11 changes it too"; exit 1; }
grep -qF "config['kind']== 'one'" "$folder/new.smk" || { echo "the newer Python no longer loses the space"; exit 1; }
echo "as found: the newer Python loses the space inside the f-string, 3.11 does not"
