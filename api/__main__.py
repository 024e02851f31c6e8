"""`python -m api`: one API process.

Starts while Temporal is away, and while Postgres is: requests are then answered 503 until it is back. Exit code 0
after an orderly stop, 2 for a configuration that is not valid, 1 for anything else.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import uvicorn

from api.app import create_app
from domain.errors import ParleyError
from infra.api_wiring import open_api_services
from infra.logs import configure_logs
from infra.settings import ConfigurationError, Settings, load_settings
from infra.telemetry.exposition import serve_metrics
from infra.telemetry.platform import platform_shown
from infra.telemetry.setup import start_tracing
from infra.temporal.process import run_to_end

GRACE_SECONDS = 20
"""How long requests that are being answered get when the process is asked to stop."""

_log = logging.getLogger("api")


def main() -> int:
    """Reads the settings and serves."""
    try:
        settings = load_settings()
    except ConfigurationError as error:
        sys.stderr.write(f"{error.message}\n")
        return 2
    configure_logs(settings)
    try:
        run_to_end(serve(settings))
    except ParleyError as error:
        _log.error("%s: %s", error.code, error.message)
        return 1
    return 0


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. Raises Unavailable, SecretUnavailable."""
    runtime = serve_metrics(settings, "api")
    tracing = start_tracing(settings, "api")
    async with AsyncExitStack() as held:
        if tracing is not None:
            held.push_async_callback(asyncio.to_thread, tracing.close)
        services = await held.enter_async_context(
            open_api_services(for_serving(settings), tracing=tracing, runtime=runtime)
        )
        if settings.metrics_port:
            await held.enter_async_context(platform_shown(services.platform_status))
        app = create_app(services)
        served = app if tracing is None else tracing.watch_requests(app)
        await Server(server_config(settings, served)).serve()


class Server(uvicorn.Server):
    """uvicorn raises the signal that stopped it once more, which ends the process before anything is closed. Here a
    signal only asks for the end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        wanted = (signal.SIGTERM, signal.SIGINT)
        for number in wanted:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in wanted:
                loop.remove_signal_handler(number)


def for_serving(settings: Settings) -> Settings:
    """With no connection kept ready the process starts whether Postgres is there or not."""
    return settings.model_copy(update={"database_pool_min": 0})


def server_config(settings: Settings, app: object) -> uvicorn.Config:
    """How uvicorn runs the application. Logging and headers are the application's own."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        host=settings.api_host,
        port=settings.api_port,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=65,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ws="none",
    )


if __name__ == "__main__":
    sys.exit(main())
