"""What a module of ours says, read from its source: importing it would import PyTorch.

The help of a command shows the defaults of functions and the words that their arguments may be.
Both are said once, beside those functions, and `cello --help` must answer at once.
"""

from __future__ import annotations

import ast
import functools
import inspect
import pkgutil
from typing import Any

__all__ = ["constant", "default_of"]


def constant(where: str) -> Any:
    """The value of a constant, made of literals and of other constants of its module.

    Args:
        where: as an entry point is written.

    Raises:
        LookupError: there is none of that name, or it is made of more.

    >>> constant("cello.train.options:SCHEDULES")
    ('constant', 'cosine', 'linear')
    """
    module, _, name = where.partition(":")
    return _value(ast.Name(name, ast.Load()), where, _constants(_read(module)))


def default_of(where: str, argument: str) -> Any:
    """What an argument is if it is not given; `inspect.Parameter.empty` if it must be.

    Args:
        where: a function, a method or a class, as an entry point is written; the fields of a
            dataclass are its arguments.
        argument: its name.

    Raises:
        LookupError: there is none of that name, or its default is made of more than literals and
            constants of its module.

    >>> default_of("cello.tasks.tagging:Tagging.from_conll", "tag")
    -1
    """
    module, _, path = where.partition(":")
    tree: Any = _read(module)
    found = tree
    for name in path.split("."):
        found = _named(found, name)
    defaults = _defaults(found)
    if argument not in defaults:
        raise LookupError(f"{where} has no argument {argument}")
    default = defaults[argument]
    if default is None:
        return inspect.Parameter.empty
    return _value(default, f"{where}, {argument}", _constants(tree))


@functools.cache
def _read(module: str) -> ast.Module:
    package, *folders, name = module.split(".")
    source = pkgutil.get_data(package, "/".join([*folders, f"{name}.py"]))
    assert source is not None  # else there would be an OSError
    return ast.parse(source)


def _named(tree: ast.Module | ast.ClassDef, name: str) -> Any:
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return node
    raise LookupError(f"no function or class {name} stands there")


def _defaults(found: ast.FunctionDef | ast.ClassDef) -> dict[str, ast.expr | None]:
    """By the names of all arguments; None for those that must be given."""
    if isinstance(found, ast.FunctionDef):
        places = [*found.args.posonlyargs, *found.args.args]
        must = [None] * (len(places) - len(found.args.defaults))
        names = [argument.arg for argument in [*places, *found.args.kwonlyargs]]
        given = [*must, *found.args.defaults, *found.args.kw_defaults]
        return dict(zip(names, given, strict=True))
    fields = [node for node in found.body if isinstance(node, ast.AnnAssign)]
    if fields:
        return {ast.unparse(field.target): field.value for field in fields}
    return _defaults(_named(found, "__init__"))


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    return {
        ast.unparse(node.targets[0]): node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
    }


def _value(made: ast.expr, where: str, constants: dict[str, ast.expr]) -> Any:
    names = {node.id for node in ast.walk(made) if isinstance(node, ast.Name)} & set(constants)
    known = {name: _value(constants[name], where, constants) for name in names}
    code = compile(ast.fix_missing_locations(ast.Expression(made)), where, "eval")
    try:
        return eval(code, known)
    except NameError as error:
        raise LookupError(f"{where}: {error.name} is no constant of that module") from error
