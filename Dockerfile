# Four images of one repository, built from this folder, each under a name of its own:
#   docker build --target service-cpu --tag grokprobe-service-cpu:0.1.0 .
# `service` and `trainer` are for CUDA, `service-cpu` and `trainer-cpu` for what has no GPU.
# torch's build for CPUs comes from a folder of wheels or from an index of yours:
#   docker build --target trainer-cpu --build-context wheels=FOLDER --tag grokprobe-trainer-cpu:0.1.0 .
#   docker build --target trainer-cpu --build-arg TORCH_INDEX=URL --tag grokprobe-trainer-cpu:0.1.0 .
# `make images` builds them by the base's digest. A container's loopback is its own; to be reached
# from outside it must be told whom to answer:
#   docker run -p 8000:8000 -e GROKPROBE_HOST=0.0.0.0 -e GROKPROBE_ALLOW_ANONYMOUS=true ...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM scratch AS wheels

FROM ${PYTHON_IMAGE} AS base
# All that is ever written lies in /data, temporary files included: the root may be read-only.
# ONNX Runtime reports to its maker unless told not to. Unbuffered: a line is in the log at once.
ENV PATH=/app/bin:/venv/bin:$PATH \
    HOME=/data \
    TMPDIR=/data \
    GROKPROBE_HOME=/data \
    PYTHONPATH=/app \
    ORT_DISABLE_TELEMETRY=1 \
    PYTHONUNBUFFERED=1
RUN install --directory --owner=10001 --group=10001 /data
ARG PYTHON_IMAGE
LABEL org.opencontainers.image.description="Watch a network grok: embeddings, spectra and predictions of every checkpoint" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name=$PYTHON_IMAGE
VOLUME /data
WORKDIR /app

# What builds: pip and the maker of the list of parts, apart from what they install.
FROM ${PYTHON_IMAGE} AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils=2.40-2 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY locks/tools.txt locks/
RUN python -m venv /tools \
    && /tools/bin/pip install --no-cache-dir --only-binary=:all: --require-hashes --requirement locks/tools.txt \
    && python -m venv --without-pip /venv
ENV PATH=/tools/bin:$PATH \
    PIP_PYTHON=/venv/bin/python
COPY tools/slim.py ./

# Packages of others, by locks alone: they change seldom, and then the layer of gigabytes does.
FROM build AS service-packages
COPY locks/service.txt locks/
RUN pip install --no-cache-dir --only-binary=:all: --require-hashes --requirement locks/service.txt \
    && python slim.py /venv/lib/python3.11/site-packages

FROM build AS service-cpu-packages
COPY locks/service-cpu.txt locks/
RUN pip install --no-cache-dir --only-binary=:all: --require-hashes --requirement locks/service-cpu.txt \
    && python slim.py /venv/lib/python3.11/site-packages

FROM build AS trainer-packages
COPY locks/trainer.txt locks/
RUN pip install --no-cache-dir --only-binary=:all: --require-hashes --requirement locks/trainer.txt \
    && python slim.py /venv/lib/python3.11/site-packages

FROM build AS trainer-cpu-packages
COPY locks/trainer-cpu.txt locks/
RUN pip install --no-cache-dir --only-binary=:all: --require-hashes --requirement locks/trainer-cpu.txt
ARG TORCH_INDEX
COPY constraints.txt ./
RUN --mount=type=bind,from=wheels,target=/wheels \
    if [ -n "$TORCH_INDEX" ]; then export PIP_INDEX_URL="$TORCH_INDEX"; else export PIP_NO_INDEX=true; fi \
    && grep '^torch==' constraints.txt > torch.txt \
    && pip install --no-cache-dir --only-binary=:all: --no-deps --find-links /wheels --requirement torch.txt \
    && python slim.py /venv/lib/python3.11/site-packages

# Who we are: the version, for those who ask it, and the command `grokprobe`.
FROM build AS facts
COPY pyproject.toml README.md LICENSE ./
RUN hatchling build --target wheel --directory dist \
    && pip install --no-cache-dir --no-deps --no-index --find-links dist --target /facts grokprobe==0.1.0

# The list of parts of each image, by the tool's own look at what is installed.
FROM service-packages AS service-parts
COPY pyproject.toml ./
RUN cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file /sbom.cdx.json /venv/bin/python

FROM service-cpu-packages AS service-cpu-parts
COPY pyproject.toml ./
RUN cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file /sbom.cdx.json /venv/bin/python

FROM trainer-packages AS trainer-parts
COPY pyproject.toml ./
RUN cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file /sbom.cdx.json /venv/bin/python

FROM trainer-cpu-packages AS trainer-cpu-parts
COPY pyproject.toml ./
RUN cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file /sbom.cdx.json /venv/bin/python

FROM base AS service
COPY --from=service-packages /venv /venv
# The loader finds CUDA's libraries by themselves; the driver's is the node's.
RUN find /venv -type d -path '*/nvidia/*/lib' > /etc/ld.so.conf.d/cuda.conf && ldconfig
COPY --from=facts /facts ./
COPY --from=service-parts /sbom.cdx.json ./
COPY grokprobe grokprobe
COPY service service
# A number, since runAsNonRoot of Kubernetes cannot judge a name.
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["python", "-m", "service.healthcheck"]
ARG REVISION=unknown
LABEL org.opencontainers.image.title="grokprobe-service" \
      org.opencontainers.image.revision=$REVISION
ENTRYPOINT ["python", "-m", "service"]

FROM base AS service-cpu
COPY --from=service-cpu-packages /venv /venv
COPY --from=facts /facts ./
COPY --from=service-cpu-parts /sbom.cdx.json ./
COPY grokprobe grokprobe
COPY service service
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["python", "-m", "service.healthcheck"]
ARG REVISION=unknown
LABEL org.opencontainers.image.title="grokprobe-service-cpu" \
      org.opencontainers.image.revision=$REVISION
ENTRYPOINT ["python", "-m", "service"]

FROM base AS trainer
COPY --from=trainer-packages /venv /venv
COPY --from=facts /facts ./
COPY --from=trainer-parts /sbom.cdx.json ./
COPY grokprobe grokprobe
COPY trainer trainer
USER 10001:10001
HEALTHCHECK NONE
ARG REVISION=unknown
LABEL org.opencontainers.image.title="grokprobe-trainer" \
      org.opencontainers.image.revision=$REVISION
ENTRYPOINT ["python", "-m", "trainer"]

FROM base AS trainer-cpu
COPY --from=trainer-cpu-packages /venv /venv
COPY --from=facts /facts ./
COPY --from=trainer-cpu-parts /sbom.cdx.json ./
COPY grokprobe grokprobe
COPY trainer trainer
USER 10001:10001
HEALTHCHECK NONE
ARG REVISION=unknown
LABEL org.opencontainers.image.title="grokprobe-trainer-cpu" \
      org.opencontainers.image.revision=$REVISION
ENTRYPOINT ["python", "-m", "trainer"]
