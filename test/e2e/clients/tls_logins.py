"""Logs in by imaplib and poplib, by STARTTLS and from the first byte, and says how.

Usage: tls_logins.py HOST IMAP_PORT IMAPS_PORT POP3_PORT POP3S_PORT CA_FILE USER
"""

import imaplib
import json
import poplib
import ssl
import sys

host, imap, imaps, pop3, pop3s, ca_file, user = sys.argv[1:]
context = ssl.create_default_context(cafile=ca_file)


def imap_result(client):
    before = sorted(client.capabilities)
    result = client.login(user, "pass")[0]
    count = client.select()[1][0].decode()
    client.logout()
    return {"login": result, "select": count, "starttls": "STARTTLS" in before}


def pop3_result(client):
    capabilities = client.capa()
    client.user(user)
    client.pass_("pass")
    count = client.stat()[0]
    client.quit()
    return {"messages": count, "stls": "STLS" in capabilities}


def plain_imap():
    client = imaplib.IMAP4(host, int(imap), timeout=30)
    try:
        client.login(user, "pass")
        return "accepted"
    except imaplib.IMAP4.error as error:
        return str(error)
    finally:
        client.shutdown()


def started_imap():
    client = imaplib.IMAP4(host, int(imap), timeout=30)
    client.starttls(context)
    return imap_result(client)


def started_pop3():
    client = poplib.POP3(host, int(pop3), timeout=30)
    client.stls(context)
    return pop3_result(client)


json.dump(
    {
        "plain": plain_imap(),
        "imap": started_imap(),
        "imaps": imap_result(
            imaplib.IMAP4_SSL(host, int(imaps), ssl_context=context, timeout=30)
        ),
        "pop3": started_pop3(),
        "pop3s": pop3_result(poplib.POP3_SSL(host, int(pop3s), context=context, timeout=30)),
    },
    sys.stdout,
)
