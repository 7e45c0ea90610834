"""The line that a person types to take everything back, as steps of a jq program."""

from __future__ import annotations

import json

from progressive.adapters.kubernetes import ANNOTATION
from progressive.model.release import Release

from .destinations import Naming

__all__ = ["undo_steps"]


def undo_steps(release: Release, naming: Naming, routes: tuple[str, ...] | None) -> tuple[str, ...]:
    """What `Istio.undo` does to the object, one step after the other.

    It does what a way back of the adapter does: our own routes go, every managed route leads to
    stable, divided among its destinations as it was, and no mirror leads to the candidate. Where a
    named route is missing, perhaps renamed, the routes that split between the versions count too.
    """
    stable, candidate = release.stable or release.candidate, release.candidate
    is_stable = naming.jq(".destination", stable)
    is_candidate = naming.jq(".destination", candidate)
    leads_here = " or ".join(
        f"({naming.jq('.destination', version)})" for version in release.versions.values()
    )
    splits = f"any(.route[]; {is_stable}) and any(.route[]; {is_candidate})"
    names = ", ".join(json.dumps(name) for name in routes or ())
    named = "" if routes is None else f" and ((.name | IN({names})) or ($missing and {splits}))"
    managed = f"(.route and any(.route[]; {leads_here}){named})"
    mirroring = "true" if routes is None else f"($missing or (.name | IN({names})))"
    port = (
        f"((first(.route[].destination | select(. as $d | {{destination: $d}} | {leads_here})) "
        "// .route[0].destination) | if .port then {port} else {} end)"
    )
    made = f"{{destination: ({json.dumps(naming.made(stable, like={}))} + {port})}}"
    label = json.dumps(naming.label(stable))
    noted = f'($split["\\(.name) " + {label}] // $split["#\\($n) " + {label}])'
    given_back = (
        f"[.route[] | select({is_stable})] as $kept | ($kept | map(.weight // 0) | add) as $sum "
        f"| {noted} as $w "
        f"| .route = (if ($kept | length) == 0 then [{made} + {{weight: 100}}] "
        "elif ($kept | length) == 1 then [$kept[0] + {weight: 100}] "
        "elif $sum > 0 then $kept "
        "elif ($w | length) == ($kept | length) "
        "then [$kept, $w] | transpose | map(.[0] + {weight: .[1]}) "
        "else [$kept[0] + {weight: 100}] + $kept[1:] end)"
    )
    no_mirrors = (
        f"(if {mirroring} or {managed} then "
        f"(if .mirror and ({naming.jq('.mirror', candidate)}) then "
        "del(.mirror, .mirrorPercentage, .mirrorPercent, .mirror_percent) else . end) | "
        f"(if .mirrors then .mirrors |= map(select({is_candidate} | not)) else . end) | "
        "(if .mirrors == [] then del(.mirrors) else . end) else . end)"
    )
    is_own = f'((.name // "") | startswith("{naming.prefix}"))'
    last = f"del(.name, .mirror, .mirrorPercentage, .mirrors) | .route = [{made}]"
    missing = "" if routes is None else f"(([{names}] - [.spec.http[].name]) != []) as $missing | "
    return (
        (
            f'{missing}((.metadata.annotations["{ANNOTATION}"] // "{{}}" | fromjson | '
            f'.["{release.service}"].split) // {{}}) as $split'
        ),
        # Istio takes no object without a route.
        (
            f".spec.http |= (map(select({is_own} | not)) as $rest "
            f"| if $rest == [] then map({last}) else $rest end)"
        ),
        (
            f".spec.http |= (reduce .[] as $r ([0, []]; .[0] as $n | if ($r | {managed}) "
            f"then [$n + 1, .[1] + [$r | {given_back}]] else [$n, .[1] + [$r]] end) | .[1] "
            f"| map({no_mirrors}))"
        ),
        (
            f'.metadata.annotations["{ANNOTATION}"] |= (. // "{{}}" | fromjson | '
            f'.["{release.service}"].closed = true | tojson)'
        ),
    )
