"""Gates of serving: what the candidate's files and process must keep to, whatever it predicts."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from tradewind.spec.gate_kind import ServingGate
from tradewind.spec.scalars import Integer, Number, value_error


class CheckGate(ServingGate):
    """What the candidate needs to serve. `loads` and `schema` are checked also where no gate names them."""

    kind: ClassVar[str] = "check"

    check: Literal["loads", "schema", "latency", "size", "stability"] = Field(
        description="loads: seconds in which a clean process loads the registered files and predicts `rows` real rows. "
        "schema: its columns are those of the feature service and `train.columns`. latency: milliseconds for one "
        "prediction of `rows` rows, the 95th percentile over batches of the fastest try of each. size: megabytes of "
        "its files. stability: how far predictions move, on average, when numbers are shaken by `noise`."
    )
    at_most: Number | None = Field(default=None, gt=0, description="Largest value; `schema` has none.")
    rows: Integer = Field(default=100, ge=1, description="With `loads` and `latency`: rows that are predicted.")
    noise: Number = Field(
        default=0.01, gt=0, description="With `stability`: standard deviation of the noise, in those of each column."
    )

    @model_validator(mode="after")
    def _its_bound(self) -> Self:
        if self.check == "schema" and self.at_most is not None:
            raise value_error("`check: schema` has no bound", field="at_most")
        if self.check in ("latency", "size", "stability") and self.at_most is None:
            raise value_error(f"`check: {self.check}` needs `at_most`", field="check")
        for field, of in (("rows", ("loads", "latency")), ("noise", ("stability",))):
            if getattr(self, field) != type(self).model_fields[field].default and self.check not in of:
                known = " and ".join(f"`check: {one}`" for one in of)
                raise value_error(f"`check: {self.check}` has no `{field}`; it belongs to {known}", field=field)
        return self

    @property
    def largest(self) -> float | None:
        """`at_most`."""
        return self.at_most

    def describe(self) -> str:
        """The gate in words, for example ``size at most 10 MB``."""
        rows = f"{self.rows} row{'' if self.rows == 1 else 's'}"
        bound = f"{self.at_most:g}" if self.at_most is not None else ""
        return {
            "loads": f"loads in a clean process and predicts {rows}{f' within {bound} s' if bound else ''}",
            "schema": "schema is that of the feature service",
            "latency": f"latency of {rows} at most {bound} ms (95 % of batches, each at its fastest)",
            "size": f"size at most {bound} MB",
            "stability": f"stability: predictions move by at most {bound} under noise of {self.noise:g} of the spread",
        }[self.check]
