"""What an adapter stands on: how to ask a system, what every router and provider has to get right.

::

    flow          calls as generators of requests, run in sync and async; when a write is UNKNOWN
    http          a transport: requests over HTTP
    lines         a transport: one line a connection, over a unix socket or TCP
    local         a transport: files and programs of this machine, and HTTP beside them
    aws           a transport: calls of AWS, by botocore
    split_file    the base of a router whose system loads a file; `split`, what the file says
    decoding      JSON from a system, strictly
    kubernetes    one object of a cluster, read and patched by compare-and-set
    router        the base of a router: the four verbs, and what a write refuses
    provider      the base of a metrics provider
    parts         relative weights and several parts as one `Served`

Nothing is imported here: ``from progressive.adapters.router import Router``.
"""
