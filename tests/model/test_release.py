"""What a release names, and what follows it."""

from __future__ import annotations

from tests.support.releases import THREE
from tests.support.world import RELEASE

from progressive.model.release import Release, Track, Version

FIRST = Release(service="shop", stable=None, candidate=Version("2", backend="v2"))


def test_the_versions_of_a_release_are_those_that_it_names() -> None:
    assert {track: str(each) for track, each in THREE.versions.items()} == {
        Track.STABLE: "1",
        Track.CANDIDATE: "2",
        Track.BASELINE: "1b",
    }
    assert list(FIRST.versions) == [Track.CANDIDATE]


def test_a_release_names_what_follows_and_what_comes_back() -> None:
    following = RELEASE.next(Version("v3"))

    assert (following.stable, following.candidate) == (Version("v2"), Version("v3"))
    assert following.reversed() == Release(
        service="shop", stable=Version("v3"), candidate=Version("v2")
    )
    assert str(Version("v2", backend="blue")) == "v2"
    assert (
        Track.STABLE.label(Release(service="shop", stable=None, candidate=Version("v1")))
        == "stable (none)"
    )
