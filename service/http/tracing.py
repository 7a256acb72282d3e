"""OpenTelemetry traces, which are optional: a span for each request, without any text.

The standard `OTEL_…` environment variables configure the export.
"""

from fastapi import FastAPI

from service.errors import StartError

UNTRACED_PATHS = "health/live,health/ready,metrics"


def enable_tracing(app: FastAPI) -> None:
    """Trace the requests of an application. Raise StartError if a package is missing."""
    try:
        from opentelemetry import trace as api
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        hint = "in the clone of tiedlm: pip install '.[tracing]'"
        raise StartError(f"--tracing needs OpenTelemetry; {hint}") from None
    provider = TracerProvider(resource=Resource.create({"service.name": "tiedlm"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    api.set_tracer_provider(provider)
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider, excluded_urls=UNTRACED_PATHS)
