# Two images of one repository, built from this folder:
#   docker build --target service --tag grokprobe:service-0.1.0 .
#   docker build --target trainer --tag grokprobe:trainer-0.1.0 .
# A container's loopback is its own; to be reached from outside it must be told whom to answer:
#   docker run -p 8000:8000 -e GROKPROBE_HOST=0.0.0.0 -e GROKPROBE_ALLOW_ANONYMOUS=true ...

FROM python:3.11-slim-bookworm AS base
# All that is ever written lies in /data, temporary files included: the root may be read-only.
# ONNX Runtime reports to its maker unless told not to. Unbuffered: a line is in the log at once.
# The path is for the command `grokprobe`, which comes with the dependencies.
ENV PATH=/venv/bin:$PATH \
    HOME=/data \
    TMPDIR=/data \
    GROKPROBE_HOME=/data \
    PYTHONPATH=/app \
    ORT_DISABLE_TELEMETRY=1 \
    PYTHONUNBUFFERED=1
RUN install --directory --owner=10001 --group=10001 /data
VOLUME /data
WORKDIR /app

FROM python:3.11-slim-bookworm AS build
# The constraints are in the environment, so that pip's isolated builds obey them too.
ENV PATH=/venv/bin:$PATH \
    PIP_CONSTRAINT=/build/constraints.txt
WORKDIR /build
RUN python -m venv /venv
COPY pyproject.toml constraints.txt README.md LICENSE ./

# The dependencies alone, without our packages: a change of code installs nothing again, and the
# layer that it does change has kilobytes.
FROM build AS service-dependencies
RUN pip install --no-cache-dir './[service,tracing]'

FROM build AS trainer-dependencies
RUN pip install --no-cache-dir './[trainer]'

FROM base AS service
COPY --from=service-dependencies /venv /venv
COPY grokprobe grokprobe
COPY service service
# A number, since runAsNonRoot of Kubernetes cannot judge a name.
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["python", "-m", "service"]

FROM base AS trainer
COPY --from=trainer-dependencies /venv /venv
COPY grokprobe grokprobe
COPY trainer trainer
USER 10001:10001
ENTRYPOINT ["python", "-m", "trainer"]
