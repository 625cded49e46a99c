"""Logs in with a token and says how that went, and what the server said of the token.

Usage: imap_token.py HOST PORT XOAUTH2|OAUTHBEARER USER TOKEN

Prints {"ok", "answer", "challenge"}; "challenge" is '' when there was none.
"""

import imaplib
import json
import sys

host, port, mechanism, user, token = sys.argv[1:]
challenges = []


def respond(challenge):
    if challenge:
        challenges.append(challenge.decode())
        return b"\x01" if mechanism == "OAUTHBEARER" else b""
    if mechanism == "XOAUTH2":
        return f"user={user}\x01auth=Bearer {token}\x01\x01".encode()
    name = user.replace("=", "=3D").replace(",", "=2C")
    return f"n,a={name},\x01host={host}\x01port={port}\x01auth=Bearer {token}\x01\x01".encode()


client = imaplib.IMAP4(host, int(port), timeout=60)
try:
    client.authenticate(mechanism, respond)
    ok, answer = True, client.state
    client.select()
    client.logout()
except imaplib.IMAP4.error as error:
    ok = False
    answer = error.args[0]
    answer = answer.decode() if isinstance(answer, bytes) else str(answer)
    client.shutdown()
print(json.dumps({"ok": ok, "answer": answer, "challenge": "".join(challenges)}))
