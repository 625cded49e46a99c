"""Everything an ordinary POP3 client does, by poplib; prints what it saw as one JSON object.

Usage: pop3_tour.py HOST PORT USER MESSAGE_FILE
The user's mailbox holds exactly the message in MESSAGE_FILE.
"""

import json
import poplib
import sys

host, port, user, message_file = sys.argv[1:]
seen = {}


def refused(call, *arguments):
    try:
        return "accepted: %r" % (call(*arguments),)
    except poplib.error_proto as error:
        return error.args[0].decode()


client = poplib.POP3(host, int(port), timeout=30)
seen["welcome"] = client.getwelcome().decode()
seen["capa_before"] = sorted(client.capa())
seen["unknown_before"] = refused(client._shortcmd, "XYZZY")
client.user(user)
seen["wrong_password"] = refused(client.pass_, "wrong")
# The same connection may try again.
seen["user"] = client.user(user).decode()
seen["pass"] = client.pass_("pass").decode()
seen["stat"] = client.stat()[0]
lines = client.retr(1)[1]
with open(message_file, "rb") as file:
    seen["large_equal"] = b"".join(line + b"\r\n" for line in lines) == file.read()
seen["top_lines"] = len(client.top(1, 2)[1])
seen["unknown_after"] = refused(client._shortcmd, "XYZZY")
seen["dele"] = client.dele(1).decode()
seen["quit"] = client.quit().decode()
json.dump(seen, sys.stdout)
