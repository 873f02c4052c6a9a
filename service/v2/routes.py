"""The handlers of the inference protocol."""

from service.v2 import inference, models, repository, server

V2 = [
    server.get_server,
    server.get_live,
    server.get_ready,
    models.get_all_statistics,
    models.get_metadata,
    models.get_ready,
    models.get_config,
    models.get_statistics,
    inference.infer,
    repository.get_index,
    repository.load,
    repository.unload,
]
