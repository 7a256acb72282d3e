"""OpenTelemetry traces, an optional extra: a span for each request, exported as the standard
`OTEL_…` environment variables say. No span holds a text.
"""

from fastapi import FastAPI

from service.errors import StartError

UNTRACED = "health/live,health/ready,metrics"


def trace(app: FastAPI) -> None:
    """Raises StartError where the packages are missing."""
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
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider, excluded_urls=UNTRACED)
