"""Slots of a contest without a market: they ask for no tape, and the truth is in a diary that somebody keeps."""

import json
import os
from pathlib import Path

ANSWERS = ("yes", "no")


def provide_raw_input(now):
    return {"now": now.isoformat(), "weekday": now.strftime("%A"), "words": ["it", "is", "getting", "dark"]}


def build_predict_call(scope):
    return {"args": [scope["question"]], "kwargs": {}}


def validate_output(inference_output):
    if not isinstance(inference_output, dict) or inference_output.get("value") not in ANSWERS:
        raise ValueError(f'the answer must be {{"value": "yes" or "no"}}, got {inference_output!r:.80}')
    return inference_output


def resolve_ground_truth(prediction):
    """What the diary says; None: it has not been written yet."""
    diary = Path(os.environ["LAMP_DIARY"])
    written = json.loads(diary.read_text()) if diary.exists() else {}
    answer = written.get(f"{prediction.scope['question']} {prediction.performed_at.isoformat()}")
    return None if answer is None else {"answer": answer, "source": diary.name}


def score_prediction(prediction, ground_truth):
    return {"value": float(prediction["value"] == ground_truth["answer"]), "success": True, "failed_reason": None}
