"""What the scripts in Redis are made of, and the shape of the command that runs one."""

from collections.abc import Sequence

from grokprobe.store.catalogue.keys import Command

# A value of another type is none.
ASK = """
local function ask(...)
  local found = redis.pcall(...)
  if type(found) == 'table' and found.err then return false end
  return found
end
"""

# A replica still shows a script what has expired, so its time is asked for; what never expires was
# not written by us.
FRESH = """
local function fresh(key) return (ask('PTTL', key) or 0) > 0 and 1 or 0 end
"""

# Members of a sorted set come and go with their count, where there is one.
COUNT = """
local function kind(name) return redis.call('TYPE', name).ok end
local counted = kind(KEYS[1]) == 'hash'
for i = 2, 3 do
  local found = kind(KEYS[i])
  if found ~= 'zset' and found ~= 'none' then redis.call('DEL', KEYS[i]) end
end
local function add(set, member, field)
  local added = redis.call('ZADD', set, 0, member)
  if counted and added > 0 then redis.call('HINCRBY', KEYS[1], field, added) end
end
local function drop(set, member, field)
  local gone = redis.call('ZREM', set, member)
  if counted and gone > 0 then redis.call('HINCRBY', KEYS[1], field, -gone) end
  return gone
end
"""

# The members of a run among those by facts: of those that it had, and of those that it has.
FILE = """
local function members(run, facts)
  local parts = {string.match(facts, '^([^|]*)|([^|]*)|([^|]*)|([^|]*)$')}
  local found = {}
  for choice = 1, 2 ^ #parts - 1 do
    local chosen, whole = {}, true
    for i, part in ipairs(parts) do
      local taken = math.floor(choice / 2 ^ (i - 1)) % 2 == 1
      chosen[i] = taken and part or ''
      whole = whole and not (taken and part == '')
    end
    if whole then found[#found + 1] = table.concat(chosen, '|') .. '/' .. run end
  end
  return found
end
local function file(set, kept, run, facts)
  local there, before = redis.call('TYPE', set).ok, redis.pcall('GET', kept)
  if there ~= 'zset' and there ~= 'none' then redis.call('DEL', set) end
  local old = type(before) == 'string' and members(run, before) or {}
  if #old > 0 then redis.call('ZREM', set, unpack(old)) end
  redis.call('DEL', kept)
  if facts == '' then return end
  redis.call('SET', kept, facts)
  for _, member in ipairs(members(run, facts)) do redis.call('ZADD', set, 0, member) end
end
"""

# -- writes of an entry (`scripts`) ----------------------------------------------------------------

# A checkpoint more, if the seal is still the one that it was added to.
ADD = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[3], ARGV[3], ARGV[4])
redis.call('SET', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], 1, 'EX', ARGV[5])
return 1
"""

# From here on the run is in doubt: its seal is a token of who writes it. If nobody has been there
# since it was compared with object storage, else what was added meanwhile would be lost.
BEGIN = (
    ASK
    + COUNT
    + """
if (ask('GET', KEYS[4]) or '') ~= ARGV[5] then return 0 end
local group = ask('GET', KEYS[9])
if group and group ~= ARGV[3] then drop(KEYS[3], group .. '/' .. ARGV[2], 'members') end
redis.call('DEL', KEYS[5], KEYS[6], KEYS[7], KEYS[9])
if ARGV[4] == '1' then redis.call('DEL', KEYS[8]) end
if kind(KEYS[10]) ~= 'set' then redis.call('DEL', KEYS[10]) end
redis.call('SET', KEYS[4], ARGV[1])
return 1
"""
)

BATCH = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], unpack(ARGV, 2))
return 1
"""

FINISH = (
    COUNT
    + FILE
    + """
if redis.call('GET', KEYS[4]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[6], ARGV[5])
if ARGV[6] == '' then redis.call('DEL', KEYS[7]) else redis.call('SET', KEYS[7], ARGV[6]) end
if ARGV[3] ~= '' then
  redis.call('SET', KEYS[9], ARGV[3])
  add(KEYS[3], ARGV[3] .. '/' .. ARGV[2], 'members')
end
add(KEYS[2], ARGV[2], 'runs')
file(KEYS[12], KEYS[11], ARGV[2], ARGV[8])
redis.call('SET', KEYS[5], 1, 'EX', ARGV[7])
redis.call('SET', KEYS[4], ARGV[4])
return 1
"""
)

# Whether it was there; then it is announced.
REMOVE = (
    ASK
    + COUNT
    + FILE
    + """
local group = ask('GET', KEYS[9])
if group then drop(KEYS[3], group .. '/' .. ARGV[1], 'members') end
file(KEYS[14], KEYS[11], ARGV[1], '')
for i = 4, 10 do redis.call('DEL', KEYS[i]) end
redis.pcall('SREM', KEYS[13], ARGV[1])
local gone = drop(KEYS[2], ARGV[1], 'runs')
if gone > 0 and ARGV[2] then redis.call('XADD', KEYS[12], unpack(ARGV, 2)) end
return gone
"""
)

DECLARE = (
    COUNT
    + """
if kind(KEYS[4]) ~= 'stream' then redis.call('DEL', KEYS[4]) end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'layout', ARGV[1], 'runs', redis.call('ZCARD', KEYS[2]), 'members',
  redis.call('ZCARD', KEYS[3]))
return 1
"""
)


# What is of another type than it must be goes, and what is no name.
CLEAN = (
    COUNT
    + """
for _, name in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  if #name > 63 or not string.match(name, '^[a-z0-9][a-z0-9._-]*$') then
    drop(KEYS[2], name, 'runs')
  end
end
return 1
"""
)


def evaluate(script: str, keys: Sequence[str], *arguments: str | bytes | int) -> Command:
    """The command that runs a script."""
    return ("EVAL", script, len(keys), *keys, *arguments)
