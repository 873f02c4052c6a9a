"""A library that ignores what is raised in it, at the moment at which a signal comes."""

PROGRAM = """
import signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r} and signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
            sys.meta_path.remove(self)
            print("a signal comes", flush=True)
            try:
                signal.raise_signal(signal.SIGTERM)
            except BaseException:
                print("an error is ignored", flush=True)

sys.meta_path.insert(0, Finder())
"""


def ignoring(module: str) -> str:
    """The beginning of a program: SIGTERM comes when a module is looked for, once it is handled."""
    return PROGRAM.format(module=module)
