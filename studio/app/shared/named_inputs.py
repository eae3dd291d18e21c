"""Events whose handlers take their inputs by name and answer by name; no order of components is kept anywhere.

    button.click(**named(self.start, {"costed": costed, "form": form.fields}, {"status": status}), **QUIET)

    def start(self, costed: Cost | None, form: Values, request: gr.Request) -> Iterator[Changes]:
        yield {"status": "…"}

`Desk.send` and `keep_form` take their fields in the same way.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

import gradio as gr

Fields = Mapping[str, Any]
"""Name -> component."""
Changes = Mapping[str, Any]
"""Name of an output -> its new value or an update; outputs that are left out stay as they are."""
QUIET: Mapping[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""Further arguments of an event that is no endpoint and shows no progress of its own."""


def named(
    handler: Callable[..., Any], inputs: Mapping[str, Any] | None = None, outputs: Fields | None = None
) -> dict[str, Any]:
    """Return the arguments of an event, such as `button.click`, that calls a handler by names.

    Args:
        handler: takes each input by its name, and besides what Gradio gives by type: `gr.Request`, an event's data, or
            a `gr.Progress` as default. It returns `Changes` (or None for no change), or yields them.
        inputs: parameter -> component; or parameter -> `Fields`, which come as one record: of the dataclass that the
            parameter is annotated with, else as a dict.
        outputs: what the handler may change, by the names that it uses.

    Raises:
        RuntimeError: the handler's parameters or its record's fields are not those that are given.
    """
    call = _Call(handler, inputs or {})
    answered = dict(outputs or {})
    if inspect.isgeneratorfunction(handler):

        def called_often(*given: Any, **values: Any) -> Iterator[Any]:
            for changes in handler(**call.arguments(given, values)):
                yield _ordered(answered, changes)

        call.sign(called_often)
        return {"fn": called_often, "inputs_kwargs": call.components, "outputs": list(answered.values())}

    def called(*given: Any, **values: Any) -> Any:
        return _ordered(answered, handler(**call.arguments(given, values)))

    call.sign(called)
    return {"fn": called, "inputs_kwargs": call.components, "outputs": list(answered.values())}


class _Call:
    """How the values that Gradio hands over become a handler's arguments."""

    def __init__(self, handler: Callable[..., Any], inputs: Mapping[str, Any]) -> None:
        plain = handler.func if isinstance(handler, functools.partial) else handler
        self._name = getattr(plain, "__name__", type(plain).__name__)
        self._hints, self._inputs = get_type_hints(plain), inputs
        parameters = inspect.signature(handler).parameters
        self._given = [own for own in parameters.values() if own.name not in inputs and self._is_given(own)]
        self._check(parameters)
        self.components: dict[str, Any] = {}
        for name, of in inputs.items():
            self.components |= _addressed(name, of) if isinstance(of, Mapping) else {name: of}

    def _is_given(self, parameter: inspect.Parameter) -> bool:
        """Return whether Gradio finds the value by the parameter's type, or by its default."""
        hint = self._hints.get(parameter.name)
        kinds = [kind for kind in (hint, *get_args(hint)) if isinstance(kind, type)]  # it may be a Request or None
        by_type = any(issubclass(kind, gr.Request | gr.EventData) for kind in kinds)
        return by_type or isinstance(parameter.default, gr.Progress)

    def _check(self, parameters: Mapping[str, inspect.Parameter]) -> None:
        """Refuse when the page is built what would fail at the first click."""
        if unknown := [name for name in self._inputs if name not in parameters]:
            raise RuntimeError(f"{self._name} has no parameter {', '.join(unknown)}")
        needed = {name for name, own in parameters.items() if own.default is own.empty}
        if lacking := needed.difference(self._inputs, (own.name for own in self._given)):
            raise RuntimeError(f"{self._name} gets no value for {', '.join(sorted(lacking))}")
        for name, of in self._inputs.items():
            record = self._record(name)
            if not record or not isinstance(of, Mapping):
                continue
            if wrong := {field.name for field in fields(record)}.symmetric_difference(of):
                raise RuntimeError(f"{self._name} takes a {record.__name__}: {', '.join(sorted(wrong))} do not match")

    def _record(self, name: str) -> Any:
        """Return the dataclass that a parameter takes, None where it takes none."""
        kind = self._hints.get(name)
        return kind if isinstance(kind, type) and is_dataclass(kind) else None

    def sign(self, function: Callable[..., Any]) -> None:
        """Give a function the name and the signature by which Gradio learns what to hand over."""
        values = inspect.Parameter("values", inspect.Parameter.VAR_KEYWORD)
        positional = [own.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD) for own in self._given]
        function.__name__ = self._name
        function.__annotations__ = {own.name: self._hints[own.name] for own in self._given if own.name in self._hints}
        vars(function)["__signature__"] = inspect.Signature([*positional, values])

    def arguments(self, given: Sequence[Any], values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the handler's arguments from what Gradio gives by type and from the components' values."""
        arguments = {own.name: value for own, value in zip(self._given, given, strict=True)}
        for name, of in self._inputs.items():
            if not isinstance(of, Mapping):
                arguments[name] = values[name]
                continue
            found = {field: values[address] for field, address in zip(of, _addressed(name, of), strict=True)}
            record = self._record(name)
            arguments[name] = record(**found) if record else found
        return arguments


def _addressed(name: str, of: Fields) -> dict[str, Any]:
    """Return a record's components by names that no parameter and no other record has."""
    return {f"{name}.{field}": component for field, component in of.items()}


def _ordered(outputs: Fields, changes: Changes | None) -> Any:
    """Return a handler's answer as Gradio takes it: a value for each output in their order, one alone as it is."""
    changes = changes or {}
    if unknown := [name for name in changes if name not in outputs]:
        raise RuntimeError(f"there is no output {', '.join(unknown)}; there are {', '.join(outputs) or 'none'}")
    values = [changes.get(name, gr.skip()) for name in outputs]
    return values[0] if len(values) == 1 else values or None
