"""Asks a health-only port whether its process is ready; the exit code is the answer, for container health checks.

    python -m services.mesh.probe ADDRESS [CONTRACT]

ADDRESS is what the process was given as `VOICEMESH_<SERVICE>_HEALTH_LISTEN`. With the full name of a
contract it asks whether the process can do its work, without whether it lives.
"""

from __future__ import annotations

import sys

import grpc
from grpc_health.v1 import health_pb2

SECONDS = 3.0
METHOD = "/grpc.health.v1.Health/Check"


def main(address: str, contract: str = "") -> int:
    """0 if it serves, 1 if it does not or says nothing."""
    question = health_pb2.HealthCheckRequest(service=contract).SerializeToString()
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
            answer = check(question, timeout=SECONDS)
        except grpc.RpcError as error:
            print(f"{address}: {error.code().name}", file=sys.stderr)
            return 1
    status = health_pb2.HealthCheckResponse.FromString(answer).status
    print(f"{address}: {health_pb2.HealthCheckResponse.ServingStatus.Name(status)}")
    return 0 if status == health_pb2.HealthCheckResponse.SERVING else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
