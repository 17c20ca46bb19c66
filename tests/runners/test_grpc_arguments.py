"""How a call's arguments are put for a node: in which order, and as what."""

import inspect
import json
from typing import Any

import pytest

pytest.importorskip("model_runner_client", reason="the extra `grpc` is not installed")

from model_runner_client.grpc.generated.commons_pb2 import VariantType
from model_runner_client.utils.datatype_transformer import decode_data

from coordinator_dagster.runners.base import Call
from coordinator_dagster.runners.grpc_arguments import bind, tick_arguments, variant
from slots.loader import SlotFailure


class Base:
    def predict(self, asset: str, horizon: int = 60, step: int = 15, *, style: str = "x") -> None: ...


SIGNATURE = inspect.signature(Base.predict)


@pytest.mark.parametrize(
    ("call", "args", "kwargs"),
    [
        (Call(["BTC", 60, 5]), ["BTC", 60, 5], {}),
        (Call(["BTC"], {"step": 5, "horizon": 30}), ["BTC", 30, 5], {}),
        (Call(["BTC"], {"step": 5}), ["BTC", 60, 5], {}),
        (Call([], {"asset": "BTC"}), ["BTC"], {}),
        (Call(["BTC"], {"colour": "red"}), ["BTC"], {}),
        (Call(["BTC", 1, 2, 3], {"style": "y"}), ["BTC", 1, 2, 3], {"style": "y"}),
        (Call(), [], {}),
    ],
)
def test_keywords_go_where_the_base_class_has_them(call: Call, args: list[Any], kwargs: dict[str, Any]) -> None:
    assert bind(SIGNATURE, call) == (args, kwargs)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (Call(["BTC"], {"asset": "ETH"}), "asset is among args and among kwargs"),
        (Call([], {"horizon": 60}), "asset is not given"),
    ],
)
def test_a_call_that_does_not_fit_is_the_slots_fault(call: Call, words: str) -> None:
    with pytest.raises(SlotFailure, match=f"PREDICT_CALL_BUILDER: {words}"):
        bind(SIGNATURE, call)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("BTC", VariantType.STRING),
        (0.5, VariantType.DOUBLE),
        (-(2**63), VariantType.INT),
        (2**63, VariantType.JSON),
        (True, VariantType.JSON),
        (None, VariantType.JSON),
        ({"a": [1, None, True]}, VariantType.JSON),
        ([1.5], VariantType.JSON),
    ],
)
def test_every_json_value_arrives_as_it_is(value: Any, kind: Any) -> None:
    sent = variant(value)
    assert sent.type == kind
    found = decode_data(sent.value, sent.type)  # the published node has the same function
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("nan")], object(), b"x"])
def test_what_is_not_json_is_the_slots_fault(value: Any) -> None:
    with pytest.raises(SlotFailure, match=r"PREDICT_CALL_BUILDER: the argument .* is not JSON"):
        variant(value)


def test_the_instants_input_goes_as_it_is() -> None:
    payload = json.dumps({"é": 1}).encode() + b" "
    ((argument,), kwargs) = tick_arguments(payload)
    assert (argument.data.type, argument.data.value, kwargs) == (VariantType.JSON, payload, [])
