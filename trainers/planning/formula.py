"""Figures that carry the formula they come from: what is shown is what was computed, because it is the same text."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}  # fmt: skip
_FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "min": min,
    "max": max,
    "ceil": math.ceil,
    "floor": math.floor,
    "log2": math.log2,
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its unit (B, tokens, FLOP, s, ...), the formula over `inputs` that gave it, and why it is so."""

    name: str
    value: float
    unit: str
    formula: str = ""
    inputs: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    def explained(self) -> str:
        """The formula with the numbers that went in, on one line."""
        if not self.formula:
            return self.note
        given = ", ".join(f"{name} = {shown(value)}" for name, value in self.inputs.items())
        return f"{self.formula}   where {given}" + (f"   ({self.note})" if self.note else "")


def figure(name: str, unit: str, formula: str, note: str = "", **inputs: float | Figure) -> Figure:
    """Compute a figure from its formula. Raises ValueError for a formula that is not plain arithmetic over `inputs`."""
    values = {key: float(value.value if isinstance(value, Figure) else value) for key, value in inputs.items()}
    return Figure(name, _value(ast.parse(formula, mode="eval").body, values), unit, formula, values, note)


def _value(node: ast.expr, names: Mapping[str, float]) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_value(node.left, names), _value(node.right, names))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _FUNCTIONS[node.func.id](*(_value(argument, names) for argument in node.args))
    raise ValueError(f"no arithmetic: {ast.unparse(node)}")


def shown(value: float) -> str:
    """A number for a reader: whole ones with their thousands separated, others to four digits."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.4g}"
