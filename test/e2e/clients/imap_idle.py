"""One session idles, a second one of the same user appends; prints what the first was told.

Usage: imap_idle.py HOST PORT USER
"""

import imaplib
import json
import sys

host, port, user = sys.argv[1:]


def login():
    client = imaplib.IMAP4(host, int(port), timeout=30)
    client.login(user, "pass")
    return client


idler = login()
before = int(idler.select()[1][0])
idler.send(b"I1 IDLE\r\n")
continuation = idler.readline().decode().rstrip("\r\n")

appender = login()
appended = appender.append("INBOX", None, None, b"Subject: new\r\n\r\nmail\r\n")[0]
appender.logout()

while True:
    told = idler.readline().decode().rstrip("\r\n")
    # Dovecot says "* OK Still here" now and then.
    if not told or told.endswith("EXISTS"):
        break
idler.send(b"DONE\r\n")
while True:
    done = idler.readline().decode().rstrip("\r\n")
    if not done or done.startswith("I1 "):
        break
idler.logout()
json.dump(
    {
        "continuation": continuation,
        "append": appended,
        "told": told,
        "expected": "* %d EXISTS" % (before + 1),
        "done": done,
    },
    sys.stdout,
)
