"""Everything an ordinary IMAP client does, by imaplib; prints what it saw as one JSON object.

Usage: imap_tour.py HOST PORT USER MESSAGE_FILE [CA_FILE]

With a file of authorities: over TLS.
"""

import hashlib
import imaplib
import json
import ssl
import sys

host, port, user, message_file, *ca_file = sys.argv[1:]
seen = {}


def raw(client, line):
    """One line as it is, up to the tagged answer."""
    tag = line.split(b" ", 1)[0]
    client.send(line + b"\r\n")
    while True:
        answer = client.readline()
        if not answer:
            raise SystemExit("connection closed behind %r" % line)
        if answer.startswith(tag + b" "):
            return answer.decode().rstrip("\r\n")


if ca_file:
    context = ssl.create_default_context(cafile=ca_file[0])
    client = imaplib.IMAP4_SSL(host, int(port), ssl_context=context, timeout=30)
else:
    client = imaplib.IMAP4(host, int(port), timeout=30)
seen["welcome"] = client.welcome.decode()
seen["unknown_before"] = raw(client, b"U1 XYZZY plugh")
try:
    client.login(user, "wrong")
    seen["wrong_password"] = "accepted"
except imaplib.IMAP4.error as error:
    seen["wrong_password"] = str(error)
# The same connection may try again.
kind, data = client.login(user, "pass")
seen["login"] = kind
seen["list"] = [line.decode() for line in client.list()[1]]
seen["select"] = client.select()[1][0].decode()
small = b"Subject: small\r\n\r\nhello\r\n"
seen["append_small"] = client.append("INBOX", None, None, small)[0]
with open(message_file, "rb") as file:
    message = file.read()
seen["append_large"] = client.append("INBOX", "(\\Seen)", None, message)[0]
client.noop()
seen["search"] = client.search(None, "ALL")[1][0].decode()
seen["search_small"] = client.search(None, "SUBJECT", "small")[1][0].decode()
fetched = client.fetch("1", "(BODY.PEEK[])")[1][0][1]
seen["small_equal"] = fetched == small
fetched = client.fetch("2", "(BODY.PEEK[])")[1][0][1]
seen["large_equal"] = fetched == message
seen["large_sha256"] = hashlib.sha256(fetched).hexdigest()
seen["unknown_after"] = raw(client, b"U2 XYZZY plugh")
seen["logout"] = client.logout()[0]
json.dump(seen, sys.stdout)
