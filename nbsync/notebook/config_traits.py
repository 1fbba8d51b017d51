"""The traits of `%config S3Sync`: one for each option whose row names one, and what they say as defaults of a line."""

from __future__ import annotations

from typing import Any

from traitlets import Bool, Enum, Float, HasTraits, Int, TraitType, Unicode

from nbsync.core import option_values
from nbsync.core.options import Option, all_options


def config_traits() -> dict[str, TraitType[Any, Any]]:
    """The traits by their names."""
    return {row.config: _trait(row).tag(config=True) for row in all_options().values() if row.config}


def defaults_of(configured: HasTraits) -> dict[str, Any]:
    """The option values, by field name, of those traits that are not as they came."""
    traits = configured.traits()
    values = {row.name: (getattr(configured, row.config), traits[row.config].default_value)
              for row in all_options().values() if row.config in traits}  # fmt: skip
    return {name: value for name, (value, default) in values.items() if value != default}


def _trait(row: Option) -> TraitType[Any, Any]:
    told = f"{row.help[0].upper()}{row.help[1:]}."
    if isinstance(row.default, bool):
        return Bool(row.default, help=told)
    if row.choices:
        return Enum(row.choices, default_value=row.default, help=told)
    if row.parse is option_values.jobs:
        return Int(row.default, help=told)
    if row.parse is option_values.days:
        return Float(None, allow_none=True, help=told)
    return Unicode("", help=told)
