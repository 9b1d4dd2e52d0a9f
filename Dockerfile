# The scorer, the producer and the `flagpost` command, without the servers: those have images.
FROM python:3.12-slim AS packages
COPY requirements-image.txt .
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements-image.txt

FROM python:3.12-slim
RUN useradd --system --uid 10001 --home-dir /tmp --shell /usr/sbin/nologin flagpost
COPY --from=packages /venv /venv
WORKDIR /app
# What .dockerignore lets through; readable, not writable, for the user below.
COPY . .
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
CMD ["python", "consumer_transform.py"]
