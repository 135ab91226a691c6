"""
Operators: every change that an update can make, and everything that is known about them.

`apply` is the meaning, `chain` lets an update grow, `diff` finds the update that says a difference.
"""

from .chaining import chain
from .difference import diff
from .kinds import (
    AddToSet,
    Inc,
    Max,
    Min,
    Mul,
    Operator,
    PopFirst,
    PopLast,
    Pull,
    PullAll,
    PullWhere,
    Push,
    Rename,
    Replace,
    Set,
    SetDefault,
    Take,
    Unset,
)
from .meaning import Applied, Update, When, apply

__all__ = [
    "AddToSet",
    "Applied",
    "Inc",
    "Max",
    "Min",
    "Mul",
    "Operator",
    "PopFirst",
    "PopLast",
    "Pull",
    "PullAll",
    "PullWhere",
    "Push",
    "Rename",
    "Replace",
    "Set",
    "SetDefault",
    "Take",
    "Unset",
    "Update",
    "When",
    "apply",
    "chain",
    "diff",
]
