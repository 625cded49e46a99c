"""SMTP submission with Python's smtplib: argv: host, port, implicit TLS port, CA file, user, message file."""

import json
import smtplib
import ssl
import sys

host, port, tls_port, ca_file, user, message_path = sys.argv[1:7]
context = ssl.create_default_context(cafile=ca_file)
seen = {}


def refused(call, *args):
    try:
        call(*args)
    except smtplib.SMTPResponseException as error:
        return [error.smtp_code, error.smtp_error.decode()]
    return None


def send(server, mark):
    """The dialogue by hand, as sendmail() would start a new EHLO after a failure."""
    with open(message_path, "rb") as message:
        return server.sendmail("py@client.test", [f"{mark}@example.test"], message.read())


with smtplib.SMTP(host, int(port), local_hostname="client.test", timeout=60) as server:
    server.ehlo()
    seen["extensions"] = sorted(server.esmtp_features)
    seen["size"] = server.esmtp_features["size"]
    seen["before"] = refused(server.sendmail, "a@client.test", ["b@example.test"], "x")
    seen["wrong"] = refused(server.login, user, "wrong")
    seen["login"] = server.login(user, "pass")[0]
    seen["refused"] = send(server, "plain")
    seen["noop"] = server.noop()[0]

with smtplib.SMTP(host, int(port), local_hostname="client.test", timeout=60) as server:
    seen["starttls"] = server.starttls(context=context)[0]
    server.ehlo()
    seen["starttls_again"] = server.has_extn("starttls")
    server.user, server.password = user, "pass"
    seen["starttls_login"] = server.auth("LOGIN", server.auth_login)[0]
    send(server, "starttls")

with smtplib.SMTP_SSL(
    host, int(tls_port), local_hostname="client.test", timeout=60, context=context
) as server:
    server.user, server.password = user, "pass"
    server.ehlo()
    seen["tls_login"] = server.auth("PLAIN", server.auth_plain, initial_response_ok=False)[0]
    send(server, "tls")

print(json.dumps(seen))
