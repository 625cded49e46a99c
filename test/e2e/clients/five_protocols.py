"""Each user over all five protocols at the same moment, sessions held open; prints what went wrong, user by user.

Usage: five_protocols.py HOST IMAP POP3 SUBMISSION SIEVE LMTP HOLD_FILE USER...
The sessions end when HOLD_FILE is there.
"""

import imaplib
import json
import os
import poplib
import smtplib
import sys
import threading
import time

from sievelib.managesieve import Client

host, imap, pop3, submission, sieve, lmtp, hold_file, *users = sys.argv[1:]
start = threading.Barrier(len(users) * 5)
problems = {}
lock = threading.Lock()


def hold():
    # The deadline is the test's, which kills this process.
    while not os.path.exists(hold_file):
        time.sleep(0.02)


def by_imap(user):
    client = imaplib.IMAP4(host, int(imap), timeout=60)
    start.wait()
    client.login(user, "pass")
    client.select()
    hold()
    client.logout()


def by_pop3(user):
    client = poplib.POP3(host, int(pop3), timeout=60)
    client.user(user)
    start.wait()
    client.pass_("pass")
    client.stat()
    hold()
    client.quit()


def by_submission(user):
    client = smtplib.SMTP(host, int(submission), timeout=60)
    client.ehlo()
    start.wait()
    client.login(user, "pass", initial_response_ok=True)
    client.noop()
    hold()
    client.quit()


def by_sieve(user):
    client = Client(host, int(sieve))
    start.wait()
    if not client.connect(user, "pass", starttls=False, authmech="PLAIN"):
        raise RuntimeError(client.errmsg)
    if not client.putscript("five", "keep;\r\n"):
        raise RuntimeError(client.errmsg)
    hold()
    client.logout()


def by_lmtp(user):
    client = smtplib.LMTP(host, int(lmtp), timeout=60)
    client.ehlo_or_helo_if_needed()
    start.wait()
    client.sendmail("sender@example.test", [user], "Subject: five\r\n\r\nhello\r\n")
    client.quit()


def run(name, work, user):
    try:
        work(user)
    except Exception as error:
        with lock:
            problems["%s %s" % (user, name)] = repr(error)


works = [
    ("imap", by_imap),
    ("pop3", by_pop3),
    ("submission", by_submission),
    ("sieve", by_sieve),
    ("lmtp", by_lmtp),
]
threads = [
    threading.Thread(target=run, args=(name, work, user)) for user in users for name, work in works
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
json.dump(problems, sys.stdout)
