"""What connections and their server share."""

from uvicorn.server import ServerState

CLOSE = (b"connection", b"close")  # uvicorn closes after an answer that says so


class State(ServerState):
    """uvicorn's, and what a stop needs to know."""

    last_came = 0.0  # when a client connected last, by the monotonic clock
