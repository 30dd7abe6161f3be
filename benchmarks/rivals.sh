#!/bin/sh
# Runs a benchmark in an environment of its own that also holds the rivals: benchmarks/rivals.sh games.py --seeds 3
# The environment is made once, beside the tables of games; nothing of it is installed by the tests.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=${PNPXAI_RIVALS:-$HOME/.cache/pnpxai/rivals}
if [ ! -e "$home/complete" ]; then
    ${PYTHON:-python3} -m venv "$home"
    "$home/bin/pip" install --quiet --editable "$here/.." shap shapiq lightgbm captum
    touch "$home/complete"
fi
script=$1
shift
PYTHONPATH="$here/.." exec "$home/bin/python" "$here/$script" "$@"
