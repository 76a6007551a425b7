"""Prometheus metrics: requests, streams, deliveries and waiting messages."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy import func, select

from foundry.runtime.reader import Reader
from foundry.runtime.runtime import Runtime
from foundry.runtime.store.tables import actors, mailbox, workflows

BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


class Metrics:
    """One server's metrics. Several servers in one process do not share them."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "foundry_http_requests", "Requests answered.", ("method", "route", "status"), registry=registry
        )
        self.seconds = Histogram(
            "foundry_http_request_seconds",
            "Time until the response is complete.",
            ("route",),
            buckets=BUCKETS,
            registry=registry,
        )
        self.deliveries = Counter(
            "foundry_webhook_deliveries", "Webhook deliveries accepted.", ("event", "new"), registry=registry
        )
        self.streams = Gauge("foundry_event_streams", "Open event streams.", ("topic",), registry=registry)
        self.permission_checks = Counter("foundry_permission_checks", "Permission checks at GitHub.", registry=registry)
        self.actors = Gauge("foundry_actors", "Live actors.", ("kind",), registry=registry)
        self.waiting = Gauge(
            "foundry_mailbox_messages", "Messages waiting in mailboxes.", ("state",), registry=registry
        )
        self.workflows = Gauge("foundry_workflows", "Running workflows.", ("name",), registry=registry)

    async def text(self, runtime: Runtime) -> bytes:
        """Return all metrics in Prometheus' text format."""
        kinds, waiting, aside, flows = await runtime.read(_counts)
        self.actors.clear()
        self.workflows.clear()
        for kind, number in kinds.items():
            self.actors.labels(kind).set(number)
        for name, number in flows.items():
            self.workflows.labels(name).set(number)
        self.waiting.labels("waiting").set(waiting)
        self.waiting.labels("set_aside").set(aside)
        return generate_latest(self.registry)


def _counts(reader: Reader) -> tuple[dict[str, int], int, int, dict[str, int]]:
    living = select(actors.c.kind, func.count()).where(actors.c.deleted_at.is_(None)).group_by(actors.c.kind)
    mail = select(func.count(), func.count(mailbox.c.set_aside_at)).select_from(mailbox)
    flows = select(workflows.c.name, func.count()).group_by(workflows.c.name)
    every, aside = reader.one(mail)
    kinds = {row[0]: row[1] for row in reader.all(living)}
    return kinds, every - aside, aside, {row[0]: row[1] for row in reader.all(flows)}
