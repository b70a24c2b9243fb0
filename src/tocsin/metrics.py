"""Every metric of the server, with what it means and what to do about it; docs/metrics.md is this list.

Counted per batch, never per event.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

__all__ = [
    "ALERTS",
    "BATCHES_ADMITTED",
    "BATCHES_REFUSED",
    "CHAIN_GAPS",
    "CORRELATED",
    "CORRELATE_EVICTED",
    "CORRELATE_LATE",
    "CORRELATIONS_FIRED",
    "DEAD_LETTERS",
    "EVENTS_ADMITTED",
    "EVENTS_DETECTED",
    "EVENTS_NOT_KEPT",
    "EVENTS_STORED",
    "FEED_FETCHES",
    "INDICATORS",
    "LAG",
    "LINES_REFUSED",
    "NOTIFICATIONS",
    "NOTIFY_LATENCY",
    "RULES",
    "RULES_DEMOTED",
    "RULE_MATCHES",
    "RULE_RELOADS",
    "WINDOW_GROUPS",
    "WINDOW_MATCHES",
]


class FirstOf:
    """Label values of which there may be many: the first so many by name, all others as `other`."""

    def __init__(self, most: int) -> None:
        self._most, self._named = most, set[str]()

    def __call__(self, value: str) -> str:
        """The label for that value."""
        if value not in self._named and len(self._named) >= self._most:
            return "other"
        self._named.add(value)
        return value


BATCHES_ADMITTED = Counter("tocsin_ingest_batches_total", "Batches appended to the log.")
EVENTS_ADMITTED = Counter("tocsin_ingest_events_total", "Events appended to the log.")
BATCHES_REFUSED = Counter(
    "tocsin_ingest_refused_batches_total",
    "Batches refused, by reason; the sender's log and the dead letters say more.",
    ["reason"],
)
LINES_REFUSED = Counter(
    "tocsin_ingest_refused_lines_total",
    "Lines of the NDJSON inlet that could not be read; each is in the dead letters.",
    ["source"],
)
CHAIN_GAPS = Counter(
    "tocsin_ingest_chain_gaps_total", "Batches that came without their predecessors; `tocsin verify` names them."
)
EVENTS_NOT_KEPT = Counter(
    "tocsin_ingest_events_not_kept_total",
    "Events that agents say they did not keep, by reason; `intentional` is false for loss.",
    ["reason", "intentional"],
)
DEAD_LETTERS = Counter("tocsin_dead_letters_total", "Inputs put aside with a reason.", ["source"])
EVENTS_DETECTED = Counter("tocsin_detect_events_total", "Events that rules have judged.")
RULES = Gauge("tocsin_rules", "Rules and correlations that a detector runs.", ["consumer"])
RULE_RELOADS = Counter(
    "tocsin_rule_reloads_total",
    "Rule sets taken while running, by outcome; of `refused` the log, `tocsin rules list` and the console say why.",
    ["outcome"],
)
RULE_MATCHES = Counter(
    "tocsin_rule_matches_total",
    "Matches by rule, of the first 500 rules that match; all others together are `other`.",
    ["rule"],
)
RULE_NAMES = FirstOf(500)  # no metric: labels for the one above
RULES_DEMOTED = Counter("tocsin_rules_demoted_total", "Rules staged because they were noisier than their budget.")
CORRELATED = Counter("tocsin_correlate_matches_total", "Matches that correlations have looked at.")
CORRELATIONS_FIRED = Counter("tocsin_correlate_firings_total", "Firings of correlations; several can be one alert.")
CORRELATE_LATE = Counter(
    "tocsin_correlate_late_matches_total",
    "Matches that came after the watermark, so that correlations that wait for it left them out; if they are many,"
    " raise correlation_lateness_s.",
)
CORRELATE_EVICTED = Counter(
    "tocsin_correlate_evicted_matches_total",
    "Matches forgotten before their time, by the limit that was reached: group or total; a correlation may have missed"
    " something.",
    ["limit"],
)
WINDOW_GROUPS = Gauge("tocsin_correlate_groups", "Groups that the windows of correlations hold.")
WINDOW_MATCHES = Gauge("tocsin_correlate_window_matches", "Matches that the windows of correlations hold.")
EVENTS_STORED = Counter("tocsin_lake_events_total", "Events committed to the lake.")
LAG = Gauge(
    "tocsin_consumer_lag_batches", "Batches in the log that a consumer has not taken; should be near 0.", ["consumer"]
)
ALERTS = Counter("tocsin_alerts_total", "Alerts opened, by level.", ["level"])
NOTIFICATIONS = Counter(
    "tocsin_notifications_total", "Notifications tried, by outcome; failures are retried from the outbox.", ["outcome"]
)
NOTIFY_LATENCY = Histogram(
    "tocsin_event_to_notification_seconds",
    "From an event's own time to the delivery of its alert.",
    buckets=(0.1, 0.25, 0.5, 0.75, 1, 2, 5, 10, 60),
)
INDICATORS = Gauge("tocsin_intel_indicators", "Indicators that the detector matches, by feed.", ["feed"])
FEED_FETCHES = Counter(
    "tocsin_intel_fetches_total",
    "Tries to read a feed, by outcome: changed, unchanged, failed; `tocsin intel list` says why one failed.",
    ["outcome"],
)
