# docker build --tag gmail-exporter .
# docker run --rm --publish 9993:9993 --read-only gmail-exporter
#
# Login budgets are in the volume /var/lib/gmail-exporter: give it a name, or each new container forgets the last one's.

# To pin the base image: --build-arg BASE=docker.io/library/python:3.13-slim-trixie@sha256:…
ARG BASE=docker.io/library/python:3.13-slim-trixie

FROM ${BASE} AS build
WORKDIR /src
# A virtual environment refers to its Python by path, so it is created at its final path.
RUN python -m venv --without-pip /opt/gmail-exporter
# Dependencies first, for they change least. Only wheels, pinned by hash: nothing is resolved or compiled.
COPY requirements.lock requirements-build.lock ./
RUN python -m pip --python /opt/gmail-exporter/bin/python install --no-cache-dir --no-compile --no-deps \
        --require-hashes --only-binary :all: --requirement requirements.lock \
    && python -m pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: --target /opt/build \
        --requirement requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY exporter exporter
# Byte code is written here, because a read-only root cannot store it; by source hash, so that builds are reproducible.
RUN PYTHONPATH=/opt/build python -m pip --python /opt/gmail-exporter/bin/python install --no-cache-dir --no-compile \
        --no-deps --no-build-isolation --no-index . \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/gmail-exporter

FROM ${BASE}
# The final image needs no tools to install packages.
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore pip \
    && python -c 'import ensurepip, shutil; shutil.rmtree(ensurepip.__path__[0])' \
    && install --directory --owner=65532 --group=65532 --mode=0750 /var/lib/gmail-exporter
COPY --from=build /opt/gmail-exporter /opt/gmail-exporter
# As systemd names it: where it cannot be written, nothing logs in, rather than at every start.
ENV STATE_DIRECTORY=/var/lib/gmail-exporter \
    PATH=/opt/gmail-exporter/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
# A number: from a name, Kubernetes cannot see that the user is not root.
USER 65532:65532
VOLUME /var/lib/gmail-exporter
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
