"""Options from a TOML file: ``--config FILE``, with a section for each command."""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from .errors import UserError

_LARGEST = 1_000_000  # bytes; a file of options is short
FILE = "fastmlp.config"


def read_config(path: Path, context: click.Context) -> None:
    """Take the options of a file as those of a command that were not typed.

    All sections are checked, so that a misspelt name is found by whatever command reads the file.

    Parameters
    ----------
    path : Path
        Of the file.
    context : click.Context
        Of the command that is about to run.

    Raises
    ------
    UserError
        When the file cannot be read, when it is no TOML, and when it has a section, an option or
        a value that there is not; the message names file and line.
    """
    from fastmlp.exceptions import did_you_mean

    text = _read(path)
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UserError(f"{path}: this is no TOML: {error}") from None
    commands = _commands(context)
    for section, values in found.items():
        where = f"{path}, line {_line(text, None, section)}"
        if not isinstance(values, dict):
            raise UserError(
                f"{where}: {section!r} is in no section; write it below [{context.command.name}], "
                "or the name of another command"
            )
        if section not in commands:
            meant = did_you_mean(section, commands, f"there are {', '.join(commands)}")
            raise UserError(f"{where}: there is no command {section!r}; {meant}")
        options = _defaults(commands[section], section, values, text, path)
        if section == context.command.name:
            context.default_map = options
    context.meta[FILE] = path


def in_config(context: click.Context, error: click.BadParameter) -> UserError | None:
    """Return the error about a value of the file, or None where it was typed."""
    parameter, path = error.param, context.meta.get(FILE)
    if path is None or parameter is None or parameter.name is None:
        return None
    if context.get_parameter_source(parameter.name) is not click.core.ParameterSource.DEFAULT_MAP:
        return None
    name = _name(parameter)
    line = _line(_read(path), context.command.name, name)
    return UserError(f"{path}, line {line}: {name!r} of [{context.command.name}]: {error.message}")


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > _LARGEST:
        raise UserError(f"{path}: is too large for a file of options")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: is no text in UTF-8") from None


def _commands(context: click.Context) -> Mapping[str, click.Command]:
    """Return the commands that a file may have sections of."""
    group = context.parent.command if context.parent is not None else None
    if isinstance(group, click.Group):
        return group.commands
    return {str(context.command.name): context.command}


def _name(parameter: click.Parameter) -> str:
    """Return the name of an option in a file: its longest flag without the dashes."""
    return max(parameter.opts, key=len).lstrip("-")


def _options(command: click.Command) -> dict[str, click.Option]:
    """Return the options of a command that a file may set, by their names."""
    options = [option for option in command.params if isinstance(option, click.Option)]
    return {_name(option): option for option in options if _name(option) != "config"}


def _defaults(
    command: click.Command, section: str, values: dict[str, Any], text: str, path: Path
) -> dict[str, Any]:
    """Return what the options of a section stand for, by the names of the parameters."""
    from fastmlp.exceptions import did_you_mean

    known, found = _options(command), {}
    for key, value in values.items():
        where = f"{path}, line {_line(text, section, key)}"
        option = known.get(key.replace("_", "-"))
        if option is None:
            meant = did_you_mean(key.replace("_", "-"), known, f"it has {', '.join(known)}")
            raise UserError(f"{where}: fastmlp {section} has no option {key!r}; {meant}")
        if option.name in found:
            raise UserError(f"{where}: {key!r} is set twice")
        try:
            found[option.name] = _typed(option, value)
        except ValueError as error:
            raise UserError(f"{where}: {key!r} of [{section}] {error}") from None
    return {str(name): value for name, value in found.items()}


def _typed(option: click.Option, value: Any) -> Any:
    """Write a value as it would be typed.

    Raises
    ------
    ValueError
        When nothing that could be typed is like it; the message goes on from the option.
    """
    if option.is_flag:
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value
    if option.multiple:
        if isinstance(value, dict):
            if option.metavar != "NAME=VALUE":
                raise ValueError("must be a text, or a list of such")
            return [f"{name}={_value(one)}" for name, one in value.items()]
        return [_word(one) for one in (value if isinstance(value, list) else [value])]
    if isinstance(value, list):
        return ",".join(map(_word, value))
    return _word(value)


def _word(value: Any) -> str:
    if isinstance(value, dict | list):
        raise ValueError("must be a single value, or a list of such")
    if isinstance(value, bool):
        raise ValueError("takes a value, and not true or false")
    return str(value)


def _value(value: Any) -> str:
    """Write the value of a parameter of the library."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value)
    except TypeError:  # dates
        return str(value)


def _line(text: str, section: str | None, key: str) -> int:
    """Return the number of the line that sets a key of a section, or that begins a section."""
    inside, quoted = section is None, rf"""["']?{re.escape(key)}["']?"""
    is_header = re.compile(r"\s*\[\s*[\"']?([^\]\"'.]+?)[\"']?\s*(?:\]|\.\s*(.*?)\s*\])")
    for number, line in enumerate(text.splitlines(), 1):
        header = is_header.match(line)
        if header:
            inside = section is None or header[1] == section
            if key == (header[1] if section is None else header[2]) and inside:
                return number
        elif inside and re.match(rf"\s*{quoted}\s*[=.]", line):
            return number
    return 1
