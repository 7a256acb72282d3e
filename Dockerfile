# The service with the starter bundle. It has onnxruntime and numpy, but no torch, compiler or pip.
#
#   docker build -t tiedlm .
#   docker run --rm -p 8000:8000 --read-only --tmpfs /tmp --cap-drop ALL tiedlm
#   docker run … -v ./my-bundle:/bundle:ro tiedlm        # another bundle
#
# Build it with docker, podman or buildah. The latter two need --format docker to keep HEALTHCHECK.
# docs/operations.md lists the settings, sizes and times.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS dependencies
# Your own package index; the image does not contain its address.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
# Set to requirements-tracing.lock for OpenTelemetry.
ARG LOCK=requirements.lock
WORKDIR /build
COPY ${LOCK} requirements.lock
# The uninstalled packages are dependencies of `tokenizers` that download models (28 MB). The service
# imports none of them.
#
# Bytecode is compiled here, because a read-only root cannot store it: each start would compile 570
# files again, which takes 0.8 s of CPU time. `unchecked-hash` does not depend on the builder's clock.
RUN python -m venv --without-pip /opt/venv \
 && python -m pip --python /opt/venv/bin/python install --no-cache-dir --no-compile \
    --disable-pip-version-check --require-hashes -r requirements.lock \
 && python -m pip --python /opt/venv/bin/python uninstall -q -y \
    huggingface-hub hf-xet httpx2 httpcore2 truststore fsspec filelock tqdm pyyaml \
 && /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash \
    -x '/(tests|transformers|quantization|f2py|distutils)/' /opt/venv/lib

FROM dependencies AS service
COPY docker/build.lock ./
RUN python -m venv tools \
 && tools/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r build.lock
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY service service
# The service serves /bundle. It holds the starter bundle unless a volume is mounted over it.
RUN tools/bin/pip wheel -q --no-deps --no-build-isolation --disable-pip-version-check -w wheels . \
 && tools/bin/pip install -q --no-deps --no-compile --no-index --target /app wheels/*.whl \
 && mv /app/service/starter /bundle \
 && python -m compileall -q --invalidation-mode unchecked-hash /app

FROM ${BASE_IMAGE}
# Remove pip and other installers, and compile the standard library, which the base ships without
# bytecode.
RUN python -c "import importlib.util as u, shutil; [shutil.rmtree(s.submodule_search_locations[0]) for s in map(u.find_spec, ('pip', 'setuptools', 'pkg_resources', 'wheel', 'ensurepip')) if s]" \
 && rm -rf /usr/local/bin/pip* /usr/local/bin/wheel /usr/bin/pip* \
 && python -m compileall -q --invalidation-mode unchecked-hash \
    -x '/(test|idlelib|lib2to3|tkinter|turtledemo|distutils|pydoc_data|site-packages|dist-packages)/' \
    "$(python -c 'import os; print(os.path.dirname(os.__file__))')"
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=service /bundle /bundle
COPY --from=service /app /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    ORT_DISABLE_TELEMETRY=1 \
    TIEDLM_BUNDLE=/bundle \
    TIEDLM_HOST=0.0.0.0 \
    TIEDLM_PORT=8000
USER 10001:10001
WORKDIR /
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-m", "service.healthcheck"]
ENTRYPOINT ["python", "-m", "service"]
# Last, so that a new revision does not invalidate any layer.
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tiedlm" \
      org.opencontainers.image.description="Word probabilities and perplexity of a weight-tied LSTM over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
