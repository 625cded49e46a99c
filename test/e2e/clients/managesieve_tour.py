"""Everything an ordinary ManageSieve client does, by sievelib; prints what it saw as one JSON object.

Usage: managesieve_tour.py HOST PORT USER yes|no (STARTTLS)
"""

import json
import sys

from sievelib.managesieve import Client

host, port, user, starttls = sys.argv[1:]
seen = {}

for mechanism in ("PLAIN", "LOGIN"):
    client = Client(host, int(port))
    wrong = client.connect(user, "wrong", starttls=starttls == "yes", authmech=mechanism)
    seen["wrong_" + mechanism.lower()] = [wrong, client.errmsg.decode()]
    client = Client(host, int(port))
    seen[mechanism.lower()] = client.connect(
        user, "pass", starttls=starttls == "yes", authmech=mechanism
    )
    seen["implementation_" + mechanism.lower()] = client.get_implementation()
    if mechanism == "PLAIN":
        client.logout()

seen["havespace"] = client.havespace("a", 1000)
seen["putscript"] = client.putscript("a", 'require "fileinto";\r\nfileinto "x";\r\n')
seen["bad_script"] = client.putscript("b", "no sieve at all\r\n")
seen["error"] = client.errmsg.decode()
seen["setactive"] = client.setactive("a")
seen["listscripts"] = client.listscripts()
seen["getscript"] = client.getscript("a")
client.setactive("")
seen["deletescript"] = client.deletescript("a")
client.logout()
json.dump(seen, sys.stdout)
