"""The dashboard for Grafana, of the names in the code; ``python docs/grafana.py`` writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from progressive.observers import figures
from progressive.observers.figures import Figure
from progressive.rollout.phases import Phase

DASHBOARD = Path(__file__).resolve().parent / "_static" / "grafana" / "progressive.json"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT = 12, 8
ENDS = "|".join(each.value for each in (Phase.PROMOTED, Phase.ROLLED_BACK, Phase.HELD))


def of(figure: Figure, suffix: str = "", **labels: str) -> str:
    """The selector of a figure's series, of the services that are chosen."""
    chosen = {"service": "$service", **labels}
    within = ", ".join(f'progressive_{label}=~"{value}"' for label, value in chosen.items())
    return f"{figure.prometheus}{suffix}{{{within}}}"


def per_second(figure: Figure) -> str:
    return f"rate({of(figure)}[$__rate_interval])"


def rise(figure: Figure, *by: str, over: str = "$__rate_interval", **labels: str) -> str:
    """How far a counter rose, by some of its labels."""
    names = ", ".join(f"progressive_{label}" for label in by)
    return f"sum by ({names}) (increase({of(figure, **labels)}[{over}]))"


def target(expr: str, legend: str, **more: str) -> dict[str, Any]:
    return {"datasource": SOURCE, "expr": expr, "legendFormat": legend, **more}


def panel(
    kind: str, title: str, unit: str, *targets: dict[str, Any], **more: Any
) -> dict[str, Any]:
    """One panel; its place is given later."""
    defaults: dict[str, Any] = {"unit": unit, **more.pop("defaults", {})}
    return {
        "type": kind,
        "title": title,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [{"refId": chr(ord("A") + n), **each} for n, each in enumerate(targets)],
        **more,
    }


SERVICE = "{{progressive_service}}"
BARS = {"custom": {"drawStyle": "bars", "fillOpacity": 60, "stacking": {"mode": "normal"}}}
SHARE = {"min": 0, "max": 1}


def panels() -> list[dict[str, Any]]:
    """What the dashboard shows, in the order of reading."""
    share_harmed = f"{per_second(figures.HARMED)} / {per_second(figures.REQUESTS)}"
    metric = f"{SERVICE}: {{{{progressive_metric}}}} ({{{{progressive_analysis}}}})"
    return [
        panel(
            "timeseries",
            "Weight of the candidate",
            "percentunit",
            target(of(figures.ASKED, track="candidate"), f"{SERVICE} asked"),
            target(of(figures.SERVED, track="candidate"), f"{SERVICE} served"),
            defaults=SHARE,
        ),
        panel(
            "state-timeline",
            "Phase",
            "none",
            target(f"{of(figures.PHASE)} == 1", f"{SERVICE}: {{{{progressive_phase}}}}"),
        ),
        panel(
            "timeseries",
            "Steps done",
            "percentunit",
            target(f"{of(figures.STEP)} / {of(figures.STEPS)}", SERVICE),
            defaults=SHARE,
        ),
        panel(
            "timeseries",
            "Overdue: nobody drives it (seconds above 0)",
            "s",
            target(f"time() - ({of(figures.DUE)} > 0)", SERVICE),
        ),
        panel(
            "timeseries",
            "Requests that the candidate met",
            "reqps",
            target(per_second(figures.REQUESTS), metric),
        ),
        panel(
            "timeseries",
            "Share of them that was harmed",
            "percentunit",
            target(share_harmed, metric),
            defaults={"min": 0},
        ),
        panel(
            "timeseries",
            "Verdicts",
            "short",
            target(
                rise(figures.VERDICTS, "service", "check", "verdict"),
                f"{SERVICE} {{{{progressive_check}}}}: {{{{progressive_verdict}}}}",
            ),
            defaults=BARS,
        ),
        panel(
            "stat",
            "Ends and holds",
            "short",
            target(
                rise(figures.TRANSITIONS, "phase", over="$__range", phase=ENDS),
                "{{progressive_phase}}",
            ),
            defaults={"decimals": 0},
        ),
        panel(
            "timeseries",
            "Troubles",
            "short",
            target(rise(figures.ESCALATIONS, "service"), f"{SERVICE} needs a person"),
            target(rise(figures.DRIFTS, "service"), f"{SERVICE} drift"),
            target(
                rise(figures.FAILURES, "service", "command", "failure"),
                f"{SERVICE} {{{{progressive_command}}}}: {{{{progressive_failure}}}}",
            ),
            defaults=BARS,
        ),
        panel(
            "heatmap",
            "Lateness of the driver",
            "s",
            target(
                f"sum by (le) (increase({of(figures.LATENESS, '_bucket')}[$__rate_interval]))",
                "{{le}}",
                format="heatmap",
            ),
        ),
        panel(
            "timeseries",
            "Notes",
            "short",
            target(rise(figures.NOTES, "kind"), "{{progressive_kind}}"),
            defaults=BARS,
        ),
    ]


def variable(name: str, kind: str, query: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "query": query, **more}


def dashboard() -> dict[str, Any]:
    """The whole dashboard, as Grafana imports it."""
    shown = panels()
    for n, each in enumerate(shown):
        each["id"] = n + 1
        each["gridPos"] = {
            "x": n % 2 * WIDTH,
            "y": n // 2 * HEIGHT,
            "w": WIDTH,
            "h": HEIGHT,
        }
    services = f"label_values({figures.PHASE.prometheus}, progressive_service)"
    return {
        "uid": "progressive",
        "title": "Rollouts",
        "tags": ["progressive"],
        "schemaVersion": 39,
        "timezone": "utc",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                variable("datasource", "datasource", "prometheus"),
                variable(
                    "service",
                    "query",
                    services,
                    datasource=SOURCE,
                    refresh=2,
                    multi=True,
                    includeAll=True,
                    allValue=".*",
                ),
            ]
        },
        "panels": shown,
    }


def text() -> str:
    """The dashboard as it is committed."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    DASHBOARD.parent.mkdir(parents=True, exist_ok=True)
    DASHBOARD.write_text(text(), encoding="utf-8")
