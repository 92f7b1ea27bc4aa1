"""What was asked for on the command line → a service that runs until it is told to stop."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fursure.engine.runtime import BULK
from fursure.engine.selftest import about_engine
from fursure.errors import BadData, MissingExtra
from fursure.run import Engine, available_threads

SHORTEST = 16  # characters of a token


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which models are to be served, where, and to whom."""

    models: tuple[str, ...]
    host: str
    port: int
    allow_remote: bool
    hosts: tuple[str, ...]
    token_file: Path | None
    no_auth: bool
    rate: float  # requests a second of one address; 0 is no limit
    receive: float  # seconds
    send: float  # seconds
    deadline: float  # seconds
    no_address_limits: bool
    max_error: float | None
    engine: Engine
    threads: int | None
    publish_reports: bool = False  # the page beside each model: photos and their names
    access_log: bool = True


def serve_models(
    wanted: Wanted, *, say: Callable[[str], None], ready: Callable[[str], None]
) -> None:
    """Open the models and serve them; ``ready`` hears the address, ``say`` what happens.

    Raises:
        FursureError: a model cannot be opened, or the address may not or cannot be used.
    """
    try:
        from fursure.connections.limits import ServiceLimits
        from fursure.connections.memory import keep_nothing_freed
        from fursure.service.models import Models, Opening
        from fursure.service.server import Address, serve, unlimited
    except ImportError as error:
        raise MissingExtra("the service", "serve") from error
    place = Address(
        host=wanted.host,
        port=wanted.port,
        hosts=wanted.hosts,
        token=_token(wanted, local=Address(host=wanted.host).local, say=say),
    )
    limits = ServiceLimits(
        rate=wanted.rate, receive=wanted.receive, send=wanted.send, deadline=wanted.deadline
    )
    if wanted.no_address_limits:
        limits = unlimited(limits)
    keep_nothing_freed()
    opening = Opening(
        engine=wanted.engine,
        threads=wanted.threads or available_threads(),
        max_error=wanted.max_error,
    )
    models = Models(wanted.models, opening, limits)
    for model in models.by_name.values():
        name, network = model.predictor.network.session.engine, model.bundle.model
        for sentence in about_engine(name, network, asked=wanted.engine, photos=BULK):
            say(f"{model.name}: {sentence}")
    serve(
        models,
        place,
        limits,
        say=say,
        ready=ready,
        publish_reports=wanted.publish_reports,
        access_log=wanted.access_log,
    )


def _token(wanted: Wanted, *, local: bool, say: Callable[[str], None]) -> str | None:
    """Return the token to ask for: none on this machine alone, unless one was given."""
    if wanted.token_file is not None:
        token = wanted.token_file.read_text().strip()
        if len(token) < SHORTEST or not token.isascii() or not token.isprintable():
            raise BadData(
                f"{wanted.token_file} holds no token of {SHORTEST} plain characters or more."
            )
        return token
    if local:
        return None
    if not wanted.allow_remote:
        raise BadData(
            f"{wanted.host} can be reached by other machines; add --allow-remote if that is meant."
        )
    if wanted.no_auth:
        say("anyone who reaches this address may use the service (--no-auth)")
        return None
    token = secrets.token_urlsafe(24)
    say(f"token: {token}")
    return token
