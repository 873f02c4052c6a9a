"""The lock of who reconciles: it expires, so that nobody has to give it back."""

from grokprobe.store.catalogue.keys import LOCK, Command
from grokprobe.store.catalogue.lua import ASK, evaluate

# 1 where the lock is ours now, and for ARGV[2] ms from now.
_LOCK = (
    ASK
    + """
local held = ask('GET', KEYS[1])
if held and held ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
)
_UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"


def lock(token: str, milliseconds: int) -> Command:
    """Take the lock of who reconciles, or keep it: 1, else 0."""
    return evaluate(_LOCK, (LOCK,), token, milliseconds)


def unlock(token: str) -> Command:
    """Give the lock back, if it is ours."""
    return evaluate(_UNLOCK, (LOCK,), token)
