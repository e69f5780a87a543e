"""FastAPI and scikit-learn, as most begin: `python plain_fastapi.py PACKAGE PORT`."""

# mypy: ignore-errors

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from pipeline import Pipeline

app = FastAPI()
model = Pipeline(sys.argv[1])


@app.post("/predict")
def predict(row: dict[str, Any]) -> dict[str, Any]:
    return model.rows([row])[0]


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
