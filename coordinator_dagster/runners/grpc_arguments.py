"""A call's arguments as the node protocol carries them: positionally, each a typed value."""

import inspect
import json
from collections.abc import Sequence
from typing import Any

from model_runner_client.grpc.generated.commons_pb2 import Argument, KwArgument, Variant, VariantType
from model_runner_client.utils.datatype_transformer import encode_data

from coordinator_dagster.runners.base import Call
from slots.loader import SlotFailure

Arguments = tuple[list[Argument], list[KwArgument]]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_INT64 = 1 << 63


def tick_arguments(payload: bytes) -> Arguments:
    """Of `tick`: the instant's input is JSON already, and goes as it is."""
    return [Argument(position=1, data=Variant(type=VariantType.JSON, value=payload))], []


def predict_arguments(signature: inspect.Signature, call: Call) -> Arguments:
    """Of one `predict`; SlotFailure where a value cannot be carried or the keywords do not fit `signature`."""
    args, kwargs = bind(signature, call)
    return (
        [Argument(position=place, data=variant(value)) for place, value in enumerate(args, 1)],
        [KwArgument(keyword=name, data=variant(value)) for name, value in kwargs.items()],
    )


def bind(signature: inspect.Signature, call: Call) -> tuple[list[Any], dict[str, Any]]:
    """The arguments in the order of the base class's `predict` (`signature`, with its `self`).

    Nodes drop keywords that a model's own signature does not name, so what can go positionally does; keywords
    that the base class does not name are dropped, as the local runner does. A parameter that is left out before
    one that is given takes the base class's default.
    """
    parameters = list(signature.parameters.values())[1:]
    kwargs = {name: call.kwargs[name] for name in signature.parameters if name in call.kwargs}
    positional, args = [one for one in parameters if one.kind in _POSITIONAL], list(call.args)
    for one in positional[: len(args)]:
        if one.name in kwargs:
            raise SlotFailure(f"PREDICT_CALL_BUILDER: {one.name} is among args and among kwargs; give it once")
    for place, one in enumerate(positional[len(args) :], len(args)):
        if not any(later.name in kwargs for later in positional[place:]):
            break
        if one.name not in kwargs and one.default is inspect.Parameter.empty:
            raise SlotFailure(f"PREDICT_CALL_BUILDER: {one.name} is not given, and the base class has no default")
        args.append(kwargs.pop(one.name, one.default))
    return args, kwargs


def variant(value: Any) -> Variant:
    """A plain value for the wire; SlotFailure for what is not JSON.

    The protocol has no type for None, bool and large integers, but a node reads any JSON.
    """
    try:
        if isinstance(value, str):
            return Variant(type=VariantType.STRING, value=encode_data(VariantType.STRING, value))
        if isinstance(value, float) and value - value == 0:  # finite
            return Variant(type=VariantType.DOUBLE, value=encode_data(VariantType.DOUBLE, value))
        if isinstance(value, int) and not isinstance(value, bool) and -_INT64 <= value < _INT64:
            return Variant(type=VariantType.INT, value=encode_data(VariantType.INT, value))
        return Variant(type=VariantType.JSON, value=json.dumps(value, allow_nan=False).encode())
    except (TypeError, ValueError) as fault:
        raise SlotFailure(f"PREDICT_CALL_BUILDER: the argument {value!r:.80} is not JSON: {fault}") from None


def predicts(signature: inspect.Signature, calls: Sequence[Call]) -> list[Arguments]:
    """Of every call of an instant."""
    return [predict_arguments(signature, one) for one in calls]
