"""`python healthy.py PORT...`: ends with 0 when a part of this container answers on one of the ports, else with 1.

Needs only the standard library, so that it starts quickly: it runs every few seconds.
"""

import http.client
import sys

_ANSWER_TIMEOUT_SECONDS = 3


def main(*ports: str) -> int:
    return 0 if any(_lives(int(port)) for port in ports) else 1


def _lives(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
