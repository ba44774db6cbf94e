# One image for every part of the shop: `python -m counterfoil.part NAME`.

FROM python:3.11-slim-bookworm AS build
WORKDIR /build
COPY pyproject.toml requirements.lock ops/image/product_lock.py ./
RUN python product_lock.py > product.lock \
 && python -m venv --without-pip /opt/counterfoil \
 && python -m pip --python /opt/counterfoil/bin/python install \
      --no-cache-dir --disable-pip-version-check --no-deps --require-hashes --requirement product.lock

FROM python:3.11-slim-bookworm
# No package can be installed in a running shop: the base image's own installers go as well.
RUN python -m pip uninstall --yes --root-user-action ignore setuptools wheel pip \
 && useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin counterfoil \
 && install --directory --owner counterfoil --group counterfoil --mode 0700 /var/lib/counterfoil
COPY --from=build /opt/counterfoil /opt/counterfoil
WORKDIR /app
COPY domain domain
COPY commandside commandside
COPY projections projections
COPY queryside queryside
COPY streams streams
COPY counterfoil counterfoil
COPY ops/image/healthy.py healthy.py
RUN /opt/counterfoil/bin/python -m compileall -q .
ENV PATH=/opt/counterfoil/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    COUNTERFOIL_HOST=0.0.0.0 \
    COUNTERFOIL_VAR=/var/lib/counterfoil
USER 10001:10001
EXPOSE 8001 8002 8003 8004 8005 8006
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "healthy.py", "8001", "8002", "8003", "8004", "8005", "8006"]
# Says which parts there are.
CMD ["python", "-m", "counterfoil.part"]
