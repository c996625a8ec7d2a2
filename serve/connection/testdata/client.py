"""Sends large bodies by one of Python's clients to a server that refuses them, and counts the statuses that were read.

Usage: python3 client.py urllib|http.client|requests BASE TRIES SIZE... -- STATUS...
"""

import http.client
import sys
import urllib.error
import urllib.parse
import urllib.request

client, base, tries = sys.argv[1], sys.argv[2], int(sys.argv[3])
split = sys.argv.index("--")
sizes, statuses = [int(s) for s in sys.argv[4:split]], sys.argv[split + 1 :]


def by_urllib(url, body):
    try:
        with urllib.request.urlopen(url, body, timeout=120) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.read()
        return error.code


def by_http_client(url, body):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=120)
    try:
        connection.request("POST", parts.path, body)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def by_requests(url, body):
    import requests

    return requests.post(url, data=body, timeout=120).status_code


send = {"urllib": by_urllib, "http.client": by_http_client, "requests": by_requests}[client]
read = 0
for size in sizes:
    body = bytes(size)
    for status in statuses:
        for attempt in range(tries):
            try:
                have = send(f"{base}/{status}", body)
                failure = None if str(have) == status.partition("-")[0] else f"status {have}"
            except Exception as error:
                failure = repr(error)
            if failure:
                print(f"{size} bytes, {status}, try {attempt}: {failure}")
            else:
                read += 1
print(f"read {read}")
