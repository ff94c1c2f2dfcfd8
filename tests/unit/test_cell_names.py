"""The shell's names, and which of them are the user's."""

from __future__ import annotations

from types import SimpleNamespace

from evercell.cell.names import ShellNames


def test_a_name_of_the_shell_is_the_users_once_it_is_bound_to_something_else() -> None:
    ns: dict[str, object] = {"open": open, "In": [], "_": 1, "x": 2}
    names = ShellNames(ns)
    assert [name for name in (*ns, "__file__", 3) if not names.hides(name)] == ["x"]
    ns.update(open=print, In=[], _=3, __file__="nb.ipynb", _i1="text")
    assert [name for name in ns if not names.hides(name)] == ["open", "In", "x", "__file__"]


def test_what_the_user_binds_no_longer_is_the_shells_again() -> None:
    ns: dict[str, object] = {"open": open, "x": 2}
    names = ShellNames(ns)
    del ns["open"], ns["x"]
    names.give_back(["open", "x", "__file__"], ns)
    assert ns == {"open": open}


class Shell:
    """As IPython's: what it bound the names of displayed values to, and what was displayed."""

    def __init__(self) -> None:
        self.user_ns_hidden: dict[str, object] = {"_": "shown", "__": "before"}
        self.displayhook = SimpleNamespace(_="shown", __="before", ___="long before")

    def get_ipython(self) -> Shell:
        return self


def test_what_was_shown_is_the_shells_until_the_user_binds_it() -> None:
    shell = Shell()
    ns: dict[str, object] = {"get_ipython": shell.get_ipython, "_": "shown", "__": "before"}
    names = ShellNames(ns)
    assert all(map(names.hides, ("_", "__", "___")))
    ns["_"] = "mine"
    assert not names.hides("_")
    shell.displayhook._ = "shown later"  # the shell leaves the name alone now
    assert not names.hides("_")
    shell.user_ns_hidden["_"] = ns["_"] = "shown later"
    assert names.hides("_")
