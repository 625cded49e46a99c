"""Brings messages by smtplib.LMTP; prints what the server said as one JSON object.

Usage: lmtp_tour.py HOST PORT MODE RECIPIENT...
HOST is a unix socket's path when PORT is 0. MODE: plain, or starttls:CA_FILE
"""

import json
import smtplib
import ssl
import sys

host, port, mode, *recipients = sys.argv[1:]
seen = {}

if int(port) == 0:
    client = smtplib.LMTP(host)
else:
    client = smtplib.LMTP(host, int(port))
if mode.startswith("starttls:"):
    client.ehlo("mta.test")
    seen["offered"] = sorted(client.esmtp_features)
    context = ssl.create_default_context(cafile=mode.partition(":")[2])
    client._host = "front.test"
    client.starttls(context=context)
client.ehlo("mta.test")
seen["features"] = sorted(client.esmtp_features)
message = b"Subject: from smtplib\r\nFrom: <s@x.test>\r\n\r\n.dot\r\nbody\r\n"
client.mail("s@x.test")
seen["refused"] = {}
for path in recipients:
    code, text = client.rcpt(path)
    if code >= 300:
        seen["refused"][path] = [code, text.decode()]
# Its sendmail() reads one reply only, as if it were SMTP.
codes = [client.data(message)[0]]
for _ in range(len(recipients) - len(seen["refused"]) - 1):
    codes.append(client.getreply()[0])
seen["codes"] = codes
client.noop()
client.quit()
print(json.dumps(seen))
