"""Settings of the property tests."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "ledger",
    deadline=None,  # other work on the same machine must not fail a test
    database=None,  # a run leaves nothing behind
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ledger")
