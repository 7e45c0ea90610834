"""AWS (extra ``aws``): the weights of a listener or a rule of a load balancer (`LoadBalancer`), of
the versions of a Lambda alias (`LambdaAlias`), and of records in Route 53 (`WeightedRecords`).

`LoadBalancer` moves the weights of target groups in the ``forward`` action of a rule of an
Application Load Balancer, or of the default action of a listener (of a Network Load Balancer too).
A version's ``backend`` is the name of its target group; both stand in the action before a rollout,
the new one with weight 0.

`LambdaAlias` moves the share of one further version of a function behind an alias. A version's
``backend`` is its number.

`WeightedRecords` moves the weights of the records of one name. A version's ``backend`` is what its
record is called (``SetIdentifier``).

Which calls each makes, and the least that must be allowed for them, stands on the page of each.
"""

from progressive.adapters.aws import Aws

from .lambda_alias import LambdaAlias
from .load_balancer import LoadBalancer
from .weighted_records import WeightedRecords

__all__ = ["Aws", "LambdaAlias", "LoadBalancer", "WeightedRecords"]
