"""What is wrong with Redis itself, and what its user may not do: none of it heals by itself.

evicting   its policy drops keys when memory is short: entries go missing
replica    it follows another server: what is written here is refused, or lost
full       its memory is used up: every write is refused
unsaved    its last save to disk failed: it refuses writes, or forgets them when it ends
"""

from collections.abc import Mapping
from typing import Any

from grokprobe.store.catalogue.keys import Command

FAULTS = ("evicting", "replica", "full", "unsaved")
KEEPING = "noeviction"

NOTHING = "grokprobe:nothing"  # no key of that name ever is
# Every command that a reader sends, those of its scripts too; they find nothing and leave nothing.
READS: tuple[Command, ...] = (
    ("PING",),
    ("INFO", "server"),
    ("GET", NOTHING),
    ("EXISTS", NOTHING),
    ("PTTL", NOTHING),
    ("HGET", NOTHING, ""),
    ("HKEYS", NOTHING),
    ("HLEN", NOTHING),
    ("HMGET", NOTHING, ""),
    ("ZCARD", NOTHING),
    ("ZRANGEBYLEX", NOTHING, "-", "+", "LIMIT", 0, 1),
    ("EVAL", "return 0", 0),
)
# The same of who repairs. Where a command would make a key, it goes at once.
HASH, SET = f"{NOTHING}:hash", f"{NOTHING}:set"
WRITES: tuple[Command, ...] = (
    ("SET", NOTHING, "", "XX", "PX", 1),
    ("HSET", HASH, "", 0),
    ("HINCRBY", HASH, "", 1),
    ("SADD", SET, ""),
    ("DEL", HASH, SET),
    ("SREM", NOTHING, ""),
    ("SPOP", NOTHING, 1),
    ("SMISMEMBER", NOTHING, ""),
    ("TYPE", NOTHING),
    ("HGETALL", NOTHING),
    ("ZADD", NOTHING, "XX", 0, ""),
    ("ZREM", NOTHING, ""),
    ("ZRANGE", NOTHING, 0, 0),
    ("XADD", NOTHING, "NOMKSTREAM", "*", "", ""),
)


def faults_of(info: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong, by name, in words that say what to do; empty where all is well.

    `info` is the answer to INFO. What a server does not tell is no fault.
    """
    policy, most = info.get("maxmemory_policy", KEEPING), int(info.get("maxmemory", 0))
    used = int(info.get("used_memory", 0)) - int(info.get("mem_not_counted_for_evict", 0))
    saves = (info.get("rdb_last_bgsave_status", "ok"), info.get("aof_last_write_status", "ok"))
    found = {
        "evicting": policy != KEEPING
        and f"its maxmemory-policy is {policy}, which drops entries: set it to {KEEPING}",
        "replica": info.get("role", "master") != "master"
        and "it is a replica, which takes no writes: name the server that it follows",
        "full": 0 < most <= used
        and f"it is full, {used} bytes of {most} are used: raise its maxmemory",
        "unsaved": saves != ("ok", "ok")
        and "its last save to disk failed: make room there, or have it save nothing",
    }
    return {name: words for name, words in found.items() if words}
