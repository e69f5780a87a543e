#!/bin/sh
# From nothing to models on live traffic, with the commands that a person would type.
#
#   sh docs/demo/run.sh FOLDER
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=$1

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() { printf '\n$ %s\n' "$*"; "$@"; }
quietly() { printf '\n$ %s\n' "$*"; "$@" >"$log" 2>&1 || { cat "$log"; exit 1; }; tail -n 3 "$log"; }
change() {
    printf "\n$ sed -i '%s' params.yaml\n" "$1"
    sed "$1" params.yaml >params.new && mv params.new params.yaml
}
keep() {
    printf '\n$ git add -A && git commit -m "%s"\n' "$1"
    git add -A
    git -c user.name=demo -c user.email=demo@localhost commit --quiet --message "$1" 2>"$log" || { cat "$log"; exit 1; }
}
ask() {
    if command -v curl >/dev/null; then
        curl --silent --show-error "$1" -d "$2"
    else
        python3 -c 'import sys, urllib.request as web
print(web.urlopen(sys.argv[1], sys.argv[2].encode(), timeout=30).read().decode(), end="")' "$@"
    fi
}
customers() {
    printf '\n(customers ask: %s)\n' "$*"
    python3 "$here/traffic.py" "$url" data/raw/subscriptions.csv models/package \
        --target churned --unknown exit_survey_sent "$@"
}

if [ -e "$folder/subscription-churn" ]; then
    echo "$folder/subscription-churn is there already: delete it, or say where else: make demo DEMO=elsewhere" >&2
    exit 2
fi
mkdir -p "$folder"
cd "$folder"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

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
change 's/class_weight: null/class_weight: balanced/'
run mlproj stage modeling

say "6. The package that is served, compared with the model and loaded with requests on this machine"
run mlproj stage deployment
keep "A model that keeps its promises"

say "7. On live traffic"
run mlproj deploy --mode full --port 0
url=$(mlproj deployments --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["processes"]["url"])')
customers --seconds 5

say "8. Another model, beside the first: it sees a copy of every request, and nobody sees its answers"
change 's/learning_rate: 0.05/learning_rate: 0.1/'
quietly mlproj stage modeling
quietly mlproj stage deployment
keep "A second model"
run mlproj deploy --mode shadow
customers --seconds 8 --truth
sleep 8
run mlproj deployments

say "9. It agrees well enough: a growing share of customers gets its answers, until the evidence suffices"
run mlproj deploy --mode canary --steps 20,50,100 --hold 5s
customers --seconds 240 --truth --until-decided
run mlproj deployments

say "10. A third one, better than ever: somebody let it use a column that is filled in after the customer left"
change '/ - exit_survey_sent/d'
change 's/^  categorical:$/  categorical:\n    - exit_survey_sent/'
quietly mlproj stage data
quietly mlproj stage modeling
quietly mlproj stage deployment
keep "A third model"
run mlproj deploy --mode canary --steps 20,50,100 --hold 5s --labels
customers --seconds 240 --truth --until-decided
run mlproj deployments

say "11. It was taken back by itself. Where the project stands"
run mlproj
body=$(python3 -c 'import json; print(json.dumps(json.load(open("models/package/package.json"))["example"]))')
printf '\n$ curl %s/predict -d %s\n' "$url" "'$body'"
ask "$url/predict" "$body"
echo

say "Where to look"
cat <<EOF
  cd $PWD
  docs/scoping.md               what was promised
  docs/model_card.md            what was measured
  reports/evaluation.json       by class and by slice
  reports/figures/              the same, as pictures
  make ui                       the runs in MLflow, at http://localhost:5000
  $url/docs         what the gateway takes, to be tried out
  $(command -v mlproj) deployments

The gateway goes on. Ask it:

  curl $url/predict -d '$body'

and end it, in $PWD:

  $(command -v mlproj) serve --stop
EOF
