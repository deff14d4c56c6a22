# minikafka for labs:  docker run -p 9092:9092 minikafka
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY minikafka ./minikafka
COPY clients ./clients
RUN python -m venv --without-pip /opt/minikafka \
    && pip --python /opt/minikafka/bin/python install --no-cache-dir .

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="minikafka" \
      org.opencontainers.image.description="Apache Kafka's wire protocol and log format in one Python process" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/minikafka --shell /usr/sbin/nologin minikafka \
    && install --directory --owner=minikafka --group=minikafka /var/lib/minikafka /etc/minikafka \
    && echo "log.dirs=/var/lib/minikafka" > /etc/minikafka/server.properties
COPY --from=build /opt/minikafka /opt/minikafka
ENV PATH=/opt/minikafka/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    MINIKAFKA_IMAGE=1
USER 10001:10001
WORKDIR /var/lib/minikafka
VOLUME /var/lib/minikafka
EXPOSE 9092
HEALTHCHECK --interval=5s --timeout=3s --start-period=2s --retries=3 CMD ["minikafka", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["minikafka"]
CMD ["serve", "--config", "/etc/minikafka/server.properties"]
