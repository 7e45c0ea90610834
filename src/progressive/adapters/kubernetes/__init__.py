"""The Kubernetes API for adapters: a cluster, its objects, and the marker in an annotation."""

from .cluster import Kubernetes, is_dns_name, to_kubernetes
from .conditions import Condition, condition, count, is_observed
from .markers import ANNOTATION, Markers
from .objects import Manifest, find, patch, path_of, read

__all__ = [
    "ANNOTATION",
    "Condition",
    "Kubernetes",
    "Manifest",
    "Markers",
    "condition",
    "count",
    "find",
    "is_dns_name",
    "is_observed",
    "patch",
    "path_of",
    "read",
    "to_kubernetes",
]
