# docker build --tag gmail-exporter .
# docker run --rm --publish 9993:9993 --read-only gmail-exporter

# To pin it for good: --build-arg BASE=docker.io/library/python:3.13-slim@sha256:…
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
# A virtual environment refers to its Python by path: it must be made where it will be.
RUN python -m venv --without-pip /opt/gmail-exporter
# First what changes least. Wheels only, each by its hash: nothing is resolved, and nothing is compiled.
COPY requirements.lock requirements-build.lock ./
RUN python -m pip --python /opt/gmail-exporter/bin/python install --no-cache-dir --no-compile --no-deps \
        --require-hashes --only-binary :all: --requirement requirements.lock \
    && python -m pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: --target /opt/build \
        --requirement requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY exporter exporter
# Byte code here, since a read-only root can keep none; by the source's hash, so that two builds make the same.
RUN PYTHONPATH=/opt/build python -m pip --python /opt/gmail-exporter/bin/python install --no-cache-dir --no-compile \
        --no-deps --no-build-isolation --no-index . \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/gmail-exporter

FROM ${BASE}
# What installs packages has no business where none will be.
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore pip \
    && python -c 'import ensurepip, shutil; shutil.rmtree(ensurepip.__path__[0])' \
    && install --directory --owner=65532 --group=65532 --mode=0750 /var/lib/gmail-exporter
COPY --from=build /opt/gmail-exporter /opt/gmail-exporter
ENV PATH=/opt/gmail-exporter/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
# By number: Kubernetes cannot tell of a name that it is not root's.
USER 65532:65532
EXPOSE 9993
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-m", "exporter.healthcheck"]
ENTRYPOINT ["gmail-exporter"]
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="gmail-exporter" \
      org.opencontainers.image.description="Probes Gmail's IMAP, POP3 and SMTP endpoints for Prometheus" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
