"""Calls of AWS as a transport of adapters, by botocore (extra ``aws``): one operation a question.

::

    def _read(self, release: Release) -> AwsFlow[Rule]:
        answer = yield Call("elbv2", "DescribeRules", {"RuleArns": [self.rule]})

Credentials, regions, profiles, proxies and signatures are botocore's: what its session finds is
used, and asked for anew as it expires. Its retries are switched off, as a write is sent once. It is
synchronous, so a call runs in a thread of its own and is left behind when the deadline has passed.
"""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

import attrs

from progressive.errors import Failure, StrategyError, WorldError
from progressive.model import fields

from .flow import Client, Exchange, Fault, excerpt
from .waiting import Apart

__all__ = ["Answer", "Aws", "AwsClient", "AwsFlow", "Call", "typed"]

T = TypeVar("T")

CONFLICTS: Final = frozenset({"PreconditionFailedException", "PreconditionFailed"})
"""Codes of errors that say that somebody else was first."""

MOVED: Final = ("not match the current values", "already exists", "was not found")
"""What Route 53 says of a change of what is not as it was read; its code says less."""

PASSING: Final = frozenset(
    {
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeoutException",
        "ResourceConflictException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""Codes of errors that say that nothing was done, and that it can be asked again."""

CONNECT: Final = 2.0
"""Seconds for a connection to one address at most: an endpoint has several."""


class _TooLate(Exception):
    """The deadline passed before a request was sent."""


@attrs.frozen
class Call:
    """One operation of a service of AWS, as its documentation names it: ``Call("elbv2",
    "ModifyRule", {...})``. ``write``: it changes something, so it is sent once.
    """

    service: str
    operation: str
    params: Mapping[str, object] = attrs.field(factory=dict)
    write: bool = attrs.field(default=False, kw_only=True)

    @property
    def label(self) -> str:
        return f"{self.service} {self.operation}"


Answer: TypeAlias = Mapping[str, object]
"""What AWS has answered, as botocore reads it."""

AwsFlow: TypeAlias = Generator[Call, Answer, T]
"""One call of an adapter over AWS: a `Flow`."""


@attrs.frozen(kw_only=True)
class Aws:
    """How AWS is reached: a ``region`` and a ``profile`` of the configuration, each by default what
    botocore finds (the environment, ``~/.aws``, the role of the machine or of the container).

    ``endpoint``: the address of another service than AWS's own, such as one for tests.
    ``deadline``: the longest time for one write, or for reads in a row with their retries.
    """

    region: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(fields.is_name)
    )
    profile: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(fields.is_name)
    )
    endpoint: str | None = None
    deadline: timedelta = attrs.field(
        default=timedelta(seconds=10), converter=fields.whole_ms, validator=fields.is_duration
    )


def typed(aws: Aws, service: str) -> str:
    """How a line begins that a person types to ask the same by the AWS CLI."""
    options = (
        ("region", aws.region),
        ("profile", aws.profile),
        ("endpoint-url", aws.endpoint),
        ("output", "json"),
    )
    given = "".join(f" --{name} {shlex.quote(value)}" for name, value in options if value)
    return f"aws{given} {service}"


@attrs.define(eq=False)
class AwsClient(Client[Call, Answer]):
    """Runs the flows of one adapter against AWS. Its clients are made at the first call of a
    service, and kept; they may be used from several threads.
    """

    aws: Aws
    error: type[WorldError]
    system: str
    _clients: dict[str, Any] = attrs.field(init=False, repr=False, factory=dict)
    _lock: threading.Lock = attrs.field(init=False, repr=False, factory=threading.Lock)
    _until: threading.local = attrs.field(init=False, repr=False, factory=threading.local)
    """When the call of this thread must have been sent."""

    @property
    def address(self) -> str:
        return self.aws.endpoint or self.aws.region or "the region of the environment"

    @property
    def deadline(self) -> timedelta:
        return self.aws.deadline

    def exchange(self, question: Call, ends: float) -> Answer | Fault:
        try:
            return Apart(partial(self._called, question, ends)).wait(ends)
        except TimeoutError:
            return _late(question)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Exchange[Call, Answer]]:
        yield self._acalled

    async def _acalled(self, question: Call, ends: float) -> Answer | Fault:
        try:
            return await Apart(partial(self._called, question, ends)).await_(ends)
        except TimeoutError:
            return _late(question)

    def close(self) -> None:
        """Forget the clients, and with them their connections."""
        with self._lock:
            clients, self._clients = self._clients, {}
        for each in clients.values():
            each.close()

    def _called(self, question: Call, ends: float) -> Answer | Fault:
        try:
            from botocore import exceptions, xform_name
        except ImportError:
            raise StrategyError(
                "AWS needs botocore; install it: pip install progressive-delivery[aws]"
            ) from None

        self._until.ends = ends
        try:
            operation = getattr(self._client(question.service), xform_name(question.operation))
            answer: Answer = operation(**question.params)
        except exceptions.ClientError as error:
            return _refused(question, error.response)
        except _TooLate:
            return Fault(Failure.TRANSIENT, "not sent: the total deadline has passed", late=True)
        except _not_sent() as error:
            return Fault(Failure.TRANSIENT, f"not sent: {_words(error)}")
        except (exceptions.ParamValidationError, exceptions.ProfileNotFound) as error:
            return Fault(Failure.PERMANENT, f"not sent: {_words(error)}")
        except exceptions.NoRegionError as error:
            return Fault(Failure.PERMANENT, f"not sent: {_words(error)}")
        except Exception as error:  # a broken answer, a cut connection: botocore has many
            return Fault(Failure.UNKNOWN if question.write else Failure.TRANSIENT, _words(error))
        return answer

    def _refuse_late(self, **_: object) -> None:
        """Nothing is sent when nobody waits for it any more: credentials, names and connections may
        have taken long.
        """
        if time.monotonic() >= self._until.ends:
            raise _TooLate

    def _client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._made(service)
            return self._clients[service]

    def _made(self, service: str) -> Any:
        from botocore.config import Config
        from botocore.exceptions import NoCredentialsError
        from botocore.session import Session

        longest = max(self.aws.deadline.total_seconds(), 1.0)
        config = Config(
            retries={"total_max_attempts": 1},
            connect_timeout=min(CONNECT, longest),
            read_timeout=longest,
        )
        session = Session(profile=self.aws.profile)
        if session.get_credentials() is None:  # not kept: it may have them at the next call
            raise NoCredentialsError
        client = session.create_client(
            service,
            region_name=self.aws.region,
            endpoint_url=self.aws.endpoint,
            config=config,
        )
        client.meta.events.register("before-send.*", self._refuse_late)
        return client


def _not_sent() -> tuple[type[Exception], ...]:
    """What is raised before a request is sent, and may be over at the next try."""
    from botocore import exceptions

    return (
        exceptions.EndpointConnectionError,
        exceptions.ConnectTimeoutError,
        exceptions.ProxyConnectionError,
        exceptions.NoCredentialsError,
        exceptions.PartialCredentialsError,
        exceptions.CredentialRetrievalError,
        exceptions.MetadataRetrievalError,
    )


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {excerpt(str(error))}"


def _refused(question: Call, response: Any) -> Fault:
    """What AWS has answered, as an error."""
    said = response.get("Error", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = str(said.get("Code", "an error"))
    message = str(said.get("Message", ""))
    why = f"answered {code}: {excerpt(message)}"
    moved = code == "InvalidChangeBatch" and any(each in message for each in MOVED)
    if code in CONFLICTS or moved:
        return Fault(Failure.CONFLICT, why, answered=True)
    if code in PASSING or status == 429:
        return Fault(Failure.TRANSIENT, why, answered=True)
    if status >= 500:
        return Fault(Failure.UNKNOWN if question.write else Failure.TRANSIENT, why, answered=True)
    return Fault(Failure.PERMANENT, why, answered=True)


def _late(question: Call) -> Fault:
    why = "no answer: the total deadline has passed"
    return Fault(Failure.UNKNOWN if question.write else Failure.TRANSIENT, why)
