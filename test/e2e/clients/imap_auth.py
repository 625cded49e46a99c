"""Logs in and says how that went, and how long it took.

Usage: imap_auth.py HOST PORT MECHANISM AUTHZID USER PASSWORD [LOCAL-ADDRESS]

MECHANISM: LOGIN (the command), PLAIN, SASL-LOGIN or XOAUTH2. Prints {"ok", "answer", "seconds"}.
"""

import imaplib
import json
import sys
import time

host, port, mechanism, authzid, user, password, *local = sys.argv[1:]


class Client(imaplib.IMAP4):
    def _create_socket(self, timeout):
        import socket

        source = (local[0], 0) if local else None
        return socket.create_connection((self.host, self.port), timeout, source)


def sasl_login(challenge):
    return (user if challenge.startswith(b"User") else password).encode()


def xoauth2(challenge):
    if challenge:
        return b""
    return f"user={user}\x01auth=Bearer {password}\x01\x01".encode()


client = Client(host, int(port), timeout=60)
began = time.monotonic()
try:
    if mechanism == "LOGIN":
        client.login(user, password)
    elif mechanism == "PLAIN":
        client.authenticate("PLAIN", lambda _: f"{authzid}\0{user}\0{password}".encode())
    elif mechanism == "SASL-LOGIN":
        client.authenticate("LOGIN", sasl_login)
    else:
        client.authenticate(mechanism, xoauth2)
    ok, answer = True, client.state
except imaplib.IMAP4.error as error:
    ok = False
    answer = error.args[0]
    answer = answer.decode() if isinstance(answer, bytes) else str(answer)
seconds = time.monotonic() - began
if ok:
    client.select()
    client.logout()
else:
    client.shutdown()
print(json.dumps({"ok": ok, "answer": answer, "seconds": seconds}))
