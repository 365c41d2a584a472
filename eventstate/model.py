"""A pydantic model as the type of a session's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventstate.errors import InvalidStateError

if TYPE_CHECKING:
    from pydantic import BaseModel


class StateModel:
    """Turns instances of `model` into states and back, validating both ways."""

    def __init__(self, model: type[BaseModel]) -> None:
        if not (isinstance(model, type) and hasattr(model, "model_validate")):
            raise TypeError(f"model is a pydantic model class, not {model!r}")
        self._model = model

    def load(self, state: dict[Any, Any]) -> BaseModel:
        """Give the instance for a state, by the names of the fields.

        Raises:
            InvalidStateError: the state is not what the model asks for.
        """
        from pydantic import ValidationError

        try:
            return self._model.model_validate(state, by_alias=False, by_name=True)
        except ValidationError as error:
            places = ", ".join("/" + "/".join(map(str, item["loc"])) for item in error.errors())
            raise InvalidStateError(
                f"{self._model.__name__} refuses the state at {places}: {error}"
            ) from error

    def dump(self, value: Any) -> dict[Any, Any]:
        """Give the state of an instance, or of a dict in its place, after validating it.

        Raises:
            InvalidStateError: it is neither, or not what the model asks for.
        """
        if isinstance(value, self._model):
            value = value.model_dump(round_trip=True, warnings=False)
        if not isinstance(value, dict):
            raise InvalidStateError(
                f"a state is a {self._model.__name__} or a dict, not {type(value).__name__}"
            )
        return self.load(value).model_dump(round_trip=True)
