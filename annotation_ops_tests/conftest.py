"""Settings of the whole suite."""

from hypothesis import settings

# How long an example takes depends on the machine; speed is measured in benchmarks.
settings.register_profile("untimed")
settings.load_profile("untimed")
