#!/usr/bin/env bash
# Runs transformers' own common model tests on our models: bash tests/common/run.sh PYTHON [FOLDER] [pytest arguments]
# They are in the source distribution of transformers only, so the one that matches the installed version is fetched
# from PyPI (10 MB; the only step that needs the network) and laid out in FOLDER, which is kept for the next run.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$(command -v "$1" || true)
[ -n "$python" ] || { echo "$0: no such python: $1" >&2; exit 2; }
python=$(cd "$(dirname "$python")" && pwd)/$(basename "$python")
version=$("$python" -c 'import transformers; print(transformers.__version__)')
folder=${2:-"$here/../../build/transformers-tests-$version"}
shift $(($# < 2 ? $# : 2))

mkdir -p "$folder"
cd "$folder"
if [ ! -f tests/test_modeling_common.py ]; then
  "$python" -m pip download --quiet --no-deps --no-binary=transformers --no-build-isolation --dest sdist "transformers==$version" ||
    "$python" -m pip download --quiet --no-deps --no-binary=transformers --dest sdist "transformers==$version"
  tar -xzf "sdist/transformers-$version.tar.gz" --strip-components=1 "transformers-$version/tests"
fi
# what the tests import beyond pytest
"$python" -c 'import parameterized, PIL, pytest, requests' 2>/dev/null ||
  "$python" -m pip install --quiet parameterized pillow pytest requests

# modules that these files import and the source distribution leaves out: neither exporters, nor generation, nor the
# keyword arguments of a configuration without parts concern our models
stub() {
  mkdir -p "tests/$(dirname "$1")"
  touch tests/__init__.py "tests/$(dirname "$1")/__init__.py"
  [ -f "tests/$1" ] || echo "$2" >"tests/$1"
}
stub exporters/test_export.py 'class ExportTesterMixin: pass'
stub generation/test_utils.py 'class GenerationTesterMixin: pass'
stub utils/test_configuration_utils.py 'config_common_kwargs = {}'

rm -rf tests/models
mkdir -p tests/models
touch tests/models/__init__.py
cp "$here"/common_mixin.py "$here"/*_tester.py tests/models/
for file in "$here"/*_common.py; do
  name=$(basename "$file" _common.py)
  cp "$file" "tests/models/test_modeling_$name.py"
done
# a configuration of its own: ours, further up, knows none of transformers' markers
echo '[pytest]' >pytest.ini
HF_HUB_OFFLINE=1 "$python" -m pytest -q -rfE -p no:cacheprovider --disable-warnings --tb=short tests/models "$@"
