#!/usr/bin/env bash
# Runs a benchmark beside libraries that the project does without, in an environment of its own:
#
#     benchmarks/rivals.sh games.py --seeds 3
#     benchmarks/rivals.sh attributors.py --only lxt
#
# An environment is made once, in $PNPXAI_RIVALS (by default ~/.cache/pnpxai/rivals), from $PYTHON (python3). It sees what
# $PYTHON sees, so that all sides run on the same torch; nothing of it is installed by the tests.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
script=${1:?which benchmark?}
shift

case $script in
    games.py) rivals=(shap shapiq lightgbm captum) ;;
    tables.py) rivals=(shap palmerpenguins) ;;
    pictures.py) rivals=(--no-deps grad-cam ttach opencv-python-headless captum) ;;
    attributors.py | language.py) rivals=(--no-deps lxt==2.1 tabulate) ;; # what else lxt asks for serves parts that are not run here
    *) echo "$script has no rivals of that kind; run it with $python" >&2 && exit 2 ;;
esac

home=${PNPXAI_RIVALS:-$HOME/.cache/pnpxai/rivals}/${script%.py}
if [ ! -e "$home/complete" ]; then
    "$python" -m venv --clear "$home"
    shared='import sys; print(*(f"import site; site.addsitedir({p!r})" for p in sys.path if p.endswith("-packages")), sep="\n")'
    "$python" -c "$shared" >"$("$home/bin/python" -c 'import site; print(site.getsitepackages()[0])')/shared.pth"
    "$home/bin/python" -m pip install --quiet "${rivals[@]}"
    touch "$home/complete"
fi
PYTHONPATH="$here/.." exec "$home/bin/python" "$here/$script" "$@"
