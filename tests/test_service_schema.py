"""The API against its own description: thousands of requests made from the schema."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from serving import Service, serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # the generator has deprecations of its own
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    log: Path = tmp_path_factory.mktemp("schema") / "log"
    options = ["--engine", "onnxruntime", "--lift-address-limits"]
    with serving(log, "pets", *options) as running:
        yield running


def test_no_request_made_from_the_schema_is_answered_by_a_5xx(service: Service) -> None:
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{service.port}/openapi.json")
    seen = {"requests": 0}
    for operation in schema.get_all_operations():
        case_of = operation.ok().as_strategy()  # type: ignore[union-attr]

        @settings(
            max_examples=4000, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(case_of)
        def holds(case: Any) -> None:
            answer = case.call()
            seen["requests"] += 1
            assert answer.status_code < 500 or answer.status_code == 503, answer.text

        holds()
    assert seen["requests"] >= 10_000
