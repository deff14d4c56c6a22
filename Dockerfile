# minikafka for labs:  docker run -p 9092:9092 minikafka
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY minikafka ./minikafka
COPY clients ./clients
RUN python -m venv /opt/minikafka \
    && /opt/minikafka/bin/pip install --no-cache-dir . \
    && /opt/minikafka/bin/python -m compileall -q /opt/minikafka/lib

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="minikafka" \
      org.opencontainers.image.description="Apache Kafka's wire protocol and log format in one Python process" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --home-dir /var/lib/minikafka minikafka \
    && install --directory --owner=minikafka --group=minikafka /var/lib/minikafka /etc/minikafka \
    && echo "log.dirs=/var/lib/minikafka" > /etc/minikafka/server.properties
COPY --from=build /opt/minikafka /opt/minikafka
ENV PATH=/opt/minikafka/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    MINIKAFKA_IMAGE=1
USER minikafka
VOLUME /var/lib/minikafka
EXPOSE 9092
HEALTHCHECK --interval=5s --timeout=3s --start-period=2s --retries=3 CMD ["minikafka", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["minikafka"]
CMD ["serve", "--config", "/etc/minikafka/server.properties"]
