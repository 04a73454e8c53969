"""How images are fetched: limits, retries and politeness, and the error of a failed attempt."""

from dataclasses import dataclass

from mblip.data.images import MAX_PIXELS
from mblip.data.recipes.ranges import Count, CountOrZero, NotNegative, Positive, Seed, check_ranges


@dataclass(frozen=True)
class FetchSettings:
    """Settings of `fetch_images`.

    A host gets at most `connections_per_host` connections and `requests_per_second_per_host` requests, redirects
    included. All hosts together get `num_connections`. An attempt fails if there is no connection after
    `connect_timeout_seconds`, no data for `read_timeout_seconds`, or no end after `total_timeout_seconds`.

    Transient failures (time-outs, broken connections, HTTP 408, 425, 429 and 5xx, images cut off) are tried
    `num_attempts` times. The pause starts at `backoff_seconds` and doubles each time; (`seed`, URL, attempt) varies it
    from half to one and a half of that. If a server says when to retry, we wait that long, up to
    `max_backoff_seconds`.

    Failures are final unless `retry_failures`. Addresses of private networks and of this machine are refused unless
    `allow_private_addresses`: a list of URLs from the web must not reach what only this machine can.

    An image is not fetched if its server opts out, unless `ignore_opt_outs`: by an `X-Robots-Tag` of noai, noimageai,
    noindex, noimageindex or none, for every crawler or for `user_agent`, as img2dataset reads it, or by
    `tdm-reservation: 1` (W3C's TDM Reservation Protocol). After redirects, the last answer counts.
    """

    num_connections: Count = 64
    connections_per_host: Count = 4
    requests_per_second_per_host: Positive = 10.0
    num_attempts: Count = 3
    backoff_seconds: NotNegative = 1.0
    max_backoff_seconds: NotNegative = 60.0
    connect_timeout_seconds: Positive = 10.0
    read_timeout_seconds: Positive = 20.0
    total_timeout_seconds: Positive = 60.0
    max_bytes: Count = 20_000_000
    max_pixels: Count = MAX_PIXELS
    max_redirects: CountOrZero = 5
    allow_private_addresses: bool = False
    retry_failures: bool = False
    ignore_opt_outs: bool = False
    seed: Seed = 0
    user_agent: str = "mblip-image-fetch"

    def __post_init__(self) -> None:
        check_ranges(self)


DEFAULT_SETTINGS = FetchSettings()
OPTED_OUT = "opted out"  # the cause of failure


class FetchError(Exception):
    """An attempt failed.

    Args:
        cause: what failures are counted by.
        detail: what exactly happened.
        is_transient: whether another attempt may succeed.
        retry_after_seconds: how long the server asks us to wait.
    """

    def __init__(
        self, cause: str, detail: str = "", *, is_transient: bool = False, retry_after_seconds: float = 0.0
    ) -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause = cause
        self.detail = detail
        self.is_transient = is_transient
        self.retry_after_seconds = retry_after_seconds
