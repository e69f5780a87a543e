#!/bin/sh
# From nothing to a registered model, with the commands that a person would type.
#
#   sh docs/demo/run.sh FOLDER
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=$1

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() { printf '\n$ %s\n' "$*"; "$@"; }

if [ -e "$folder/subscription-churn" ]; then
    echo "$folder/subscription-churn is there already: delete it, or say where else: make demo DEMO=elsewhere" >&2
    exit 2
fi
mkdir -p "$folder"
cd "$folder"

say "1. A repository that runs (the data are simulated; your own come with --data FILE --target COLUMN)"
run mlproj new subscription-churn --defaults
cd subscription-churn

say "2. The scoping document: what is promised. People edit it; here a finished one is put in its place"
printf '\n$ cp %s docs/scoping.md\n' "scoping.md"
cp "$here/scoping.md" docs/scoping.md
run mlproj approve --role demo --name demo
run mlproj stage scoping

say "3. The data: read, validated, split"
run mlproj stage data

say "4. The model: a baseline, a sanity check, training, evaluation against what was promised"
printf '\n$ mlproj stage modeling\n'
if mlproj stage modeling; then
    echo "the first model was expected to miss its target" >&2
    exit 1
fi

say "5. The gate is closed: too few of those who leave are found. They are rare, so let each count for more"
printf "\n$ sed -i 's/class_weight: null/class_weight: balanced/' params.yaml\n"
sed 's/class_weight: null/class_weight: balanced/' params.yaml > params.new && mv params.new params.yaml
run mlproj stage modeling

say "6. Where the project stands"
run git add -A
printf '\n$ git commit\n'
git -c user.name=demo -c user.email=demo@localhost commit --quiet --message "A model that keeps its promises"
run mlproj

say "Where to look"
cat <<EOF
  cd $PWD
  docs/scoping.md               what was promised
  reports/evaluation.json       what was measured, by class and by slice
  reports/figures/              the same, as pictures
  make ui                       the runs in MLflow, at http://localhost:5000
  .venv/bin/dvc dag             the pipeline
EOF
