# The trainer and the exporter. Volumes hold the text and the runs.
#
#   docker build -f docker/train.Dockerfile -t tiedlm-train \
#     --build-arg PIP_EXTRA_INDEX_URL=<PyTorch's index of CPU wheels, see pytorch.org> .
#   docker run --rm -v ./my-text:/data:ro -v tiedlm-runs:/runs tiedlm-train \
#     -m train train/configs/tiny.toml --data /data --out /runs/mine
#   docker run --rm -v tiedlm-runs:/runs tiedlm-train -m model_export /runs/mine /runs/mine-bundle
#
# Without that index the build fails, because the default index would install gigabytes of CUDA. To
# train on a GPU, install them: --build-arg TORCH=torch==2.13.0.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG TORCH=torch==2.13.0+cpu
WORKDIR /build
COPY docker/build.lock ./
RUN python -m venv tools \
 && tools/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r build.lock \
 && python -m venv --without-pip /opt/venv
COPY constraints.txt ./
RUN python -m pip --python /opt/venv/bin/python install --no-cache-dir --no-compile \
    --disable-pip-version-check -c constraints.txt "${TORCH}" \
 || { echo "error: no index has ${TORCH}; set --build-arg PIP_EXTRA_INDEX_URL=…" >&2; exit 1; }
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY service service
COPY train train
COPY model_export model_export
RUN tools/bin/pip wheel -q --no-deps --no-build-isolation --disable-pip-version-check -w wheels . \
 && python -m pip --python /opt/venv/bin/python install --no-cache-dir --no-compile \
    --disable-pip-version-check -c constraints.txt "${TORCH}" "$(echo wheels/*.whl)[train]" \
 && mkdir -p /runs /cache && chmod 1777 /cache

FROM ${BASE_IMAGE}
COPY --from=build /opt/venv /opt/venv
# The README's commands use the path `train/configs/…`.
COPY train/configs /trainer/train/configs
COPY --from=build --chown=10001:10001 /runs /runs
COPY --from=build --chown=10001:10001 /cache /cache
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp \
    XDG_CACHE_HOME=/cache \
    ORT_DISABLE_TELEMETRY=1
USER 10001:10001
WORKDIR /trainer
VOLUME ["/data", "/runs", "/cache"]
ENTRYPOINT ["python"]
CMD ["-m", "train", "--help"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tiedlm-train" \
      org.opencontainers.image.description="Trains a weight-tied LSTM and exports it to a bundle" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
