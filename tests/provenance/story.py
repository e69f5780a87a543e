"""A made-up trace, whole and small: what the tests of pictures, questions and exports begin with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mlproj.provenance.things import Commit, File, Kept, Stage
from mlproj.provenance.trace import (
    Approval,
    Chain,
    Code,
    Environment,
    Feedback,
    Happened,
    Origin,
    Prediction,
    Rollout,
    Subject,
    Trace,
    Version,
)

RUN = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
HEAD = Commit(id="c" * 40, by="Ada", at="2026-11-20T09:00:00+01:00", title="Features", parents=("b" * 40,))


def origin(**changes: Any) -> Origin:
    """A run of two stages: raw.csv → train.parquet → model, with the code in git."""
    made = Origin(
        run=RUN,
        project="churn",
        model="churn-model",
        read_from=f"tag mlproj/run/{RUN}",
        outcome="d" * 40,
        started="2026-11-20T10:00:00+00:00",
        finished="2026-11-20T10:01:00+00:00",
        seed=1,
        threads=1,
        code=Code(
            commit=HEAD,
            commit_id="c" * 40,
            snapshot="c" * 40,
            uncommitted=False,
            is_here=True,
            command="python -m churn.train",
            algorithm="logistic_regression",
        ),
        stages=(
            Stage(
                name="split", command="python -m churn.split", reads=("raw.csv",), writes=("train.parquet",)
            ),
            Stage(
                name="train",
                command="python -m churn.train",
                reads=("train.parquet", "churn/train.py"),
                writes=("models/model", "models/run.json"),
                params=("train",),
            ),
        ),
        files={
            "raw.csv": File(path="raw.csv", md5="1" * 32, size=10, rows=9, kept=Kept.BOTH, brought=HEAD),
            "train.parquet": File(path="train.parquet", md5="2" * 32, rows=6, kept=Kept.HERE),
            "churn/train.py": File(path="churn/train.py", md5="3" * 32, kept=Kept.GIT),
            "models/model": File(path="models/model", md5="4" * 32 + ".dir", files=3, kept=Kept.BOTH),
            "models/run.json": File(path="models/run.json", md5="5" * 32, kept=Kept.GIT),
        },
        inputs={"raw": "raw.csv", "train": "train.parquet"},
        environment=Environment(
            lock="uv.lock", sha256="e" * 64, python="3.12.1", platform="Linux", packages={}, kept=Kept.GIT
        ),
        approvals=(Approval(role="owner", name="Grace", on="2026-11-19", of="f" * 64, holds=True),),
        versions=(
            Version(
                number=3,
                run=RUN,
                model="churn-model",
                digest="9" * 64,
                engine="numpy",
                added="2026-11-21T08:00:00Z",
                package=Kept.HERE,
                rollouts=(
                    Rollout(
                        id=5,
                        mode="full",
                        version=3,
                        baseline=None,
                        by="tester",
                        started="2026-11-21T08:00:00Z",
                        ended=None,
                        state="live",
                        reason="",
                        automation="full",
                        shares=(1.0,),
                        verdict=None,
                        events=(Happened(at="2026-11-21T08:00:00Z", by="tester", kind="live", said="live"),),
                    ),
                ),
            ),
        ),
    )
    return replace(made, **changes)


def prediction(**changes: Any) -> Prediction:
    made = Prediction(
        id="0safxhkk40400",
        arrived="2026-11-22T12:00:00.000Z",
        project="churn",
        model="churn-model",
        request="order-17",
        row=0,
        role="primary",
        share=1.0,
        version=3,
        run=RUN,
        deployment=5,
        engine="numpy",
        entity="C1",
        sticky=True,
        inputs={"tenure": 12, "plan": None},
        output={"prediction": "yes", "confidence": 0.9},
        decision="yes",
        status=200,
        error=None,
        latency_ms=1.5,
        unseen=(),
        feedback=(
            Feedback(
                kind="label",
                value="no",
                at="2026-11-23T00:00:00Z",
                arrived="2026-11-23T01:00:00Z",
                source="billing",
                about="this prediction",
            ),
        ),
    )
    return replace(made, **changes)


def trace(**changes: Any) -> Trace:
    made = Trace(
        kind=Subject.PREDICTION,
        subject="0safxhkk40400",
        project="churn",
        project_id="0123456789ab",
        model="churn-model",
        prediction=prediction(),
        chain=Chain(request="order-17", calls=(), asked=("churn",)),
        origins=(origin(),),
    )
    return replace(made, **changes)
