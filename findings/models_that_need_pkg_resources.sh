#!/usr/bin/env bash
# One expects a package that pip installed without a complaint to import. face_recognition_models 0.3.0 (dlib's networks;
# 100 MB) imports pkg_resources, names no requirement, and setuptools 82 has removed it: with a current setuptools, or
# with none, as every environment of Python 3.12 or later begins, the import fails, and face_recognition then tells the
# user to install what is installed. The files themselves are sound; faces/identity.py finds them without an import.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
pip install setuptools==81.0.0
pip install --no-build-isolation wheel==0.45.1 face_recognition_models==0.3.0
try() { "$folder/venv/bin/python" -W ignore -c 'import face_recognition_models as m; print("imports", m.face_recognition_model_location())' 2>&1 | tail -n 1 || true; }
echo "pip check: $(pip check || true)"
with_81=$(try)
echo "setuptools 81.0.0: $with_81"
pip install setuptools==82.0.1
with_82=$(try)
echo "setuptools 82.0.1: $with_82"
echo "pip check: $(pip check || true)"
pip uninstall --yes setuptools
without=$(try)
echo "no setuptools:     $without"
[[ $with_81 == imports* ]] || { echo "it no longer imports beside setuptools 81" >&2; exit 1; }
for answer in "$with_82" "$without"; do
    [[ $answer == *"No module named 'pkg_resources'"* ]] || { echo "it no longer wants pkg_resources" >&2; exit 1; }
done
ls "$folder"/venv/lib/python3*/site-packages/face_recognition_models/models/*.dat > /dev/null
echo "the networks lie in its folder all the same"
