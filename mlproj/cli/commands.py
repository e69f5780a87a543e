"""The command table, in the order a project meets the commands."""

from __future__ import annotations

from mlproj.cli.lazily import Commands, Entry

# A summary stands on one line of `mlproj --help`; the command's own `--help` says all.
COMMANDS = Commands(
    {
        "status": Entry("mlproj.cli.check:status", "Show where the project stands and what comes next."),
        "new": Entry("mlproj.cli.new:new", "Generate a repository with a working pipeline."),
        "adopt": Entry("mlproj.cli.adopt:adopt", "Bring an existing repository in; write over nothing."),
        "stage": Entry("mlproj.cli.stage:stage", "Work in a phase: run its stages, judge its gates."),
        "check": Entry("mlproj.cli.check:check", "Judge the gates of a phase, or of all; change nothing."),
        "approve": Entry("mlproj.cli.approve:approve", "Sign off the targets of the scoping document."),
        "decide": Entry("mlproj.cli.decide:decide", "Add a decision to the notebook."),
        "decisions": Entry("mlproj.cli.decide:decisions", "List the decisions, newest first."),
        "data": Entry("mlproj.cli.data:app", "Bring the project's own data, or those of a past day."),
        "upgrade": Entry(
            "mlproj.cli.upgrade:upgrade", "Merge what is new in the template into this repository."
        ),
        "deploy": Entry("mlproj.cli.deploy:deploy", "Put a version on live traffic."),
        "promote": Entry("mlproj.cli.deploy:promote", "Make the newcomer the primary now."),
        "rollback": Entry(
            "mlproj.cli.deploy:rollback", "Take the newcomer off, or go back to the version before."
        ),
        "retire": Entry("mlproj.cli.deploy:retire", "Take a version off live traffic for good."),
        "deployments": Entry(
            "mlproj.cli.deploy:deployments", "List what is live and what has been, and why."
        ),
        "feedback": Entry("mlproj.cli.feedback:feedback", "Take late ground truth, or what people decided."),
        "predictions": Entry("mlproj.cli.feedback:predictions", "Write the prediction log as CSV."),
        "serve": Entry("mlproj.cli.serve:serve", "Serve what is deployed, in the foreground."),
        "runs": Entry("mlproj.cli.runs:runs", "List past runs, by words, metrics, parameters or data."),
        "compare": Entry(
            "mlproj.cli.compare:compare", "Hold two runs against each other: differences and flips."
        ),
        "trace": Entry("mlproj.cli.trace:trace", "Say what a prediction or a model came from."),
        "reproduce": Entry(
            "mlproj.cli.reproduce:reproduce", "Build a run's model again, and say how near it comes."
        ),
        "replay": Entry("mlproj.cli.replay:replay", "Ask a version again what it was asked, and compare."),
        "drill": Entry("mlproj.cli.drill:drill", "Try whether the past can be had again; keep the result."),
        "wheels": Entry("mlproj.cli.wheels:wheels", "Keep the wheels of the versions that were deployed."),
        "litter": Entry("mlproj.cli.litter:litter", "List what nobody needs any more, and how to retire it."),
        "handover": Entry(
            "mlproj.cli.handover:handover", "List what is written down nowhere, for whoever comes after."
        ),
        "doctor": Entry(
            "mlproj.cli.doctor:doctor", "Say what is missing on this machine, and what mends it."
        ),
    }
)
