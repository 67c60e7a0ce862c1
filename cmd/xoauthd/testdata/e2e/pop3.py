"""Prints each message of the mailbox as a line of base64: pop3.py PORT USER."""

import base64
import os
import poplib
import ssl
import sys

port, user = sys.argv[1:]
way, tls = os.environ["WAY"], ssl.create_default_context()
if way == "implicit":
    server = poplib.POP3_SSL("127.0.0.1", int(port), context=tls, timeout=60)
else:
    server = poplib.POP3("127.0.0.1", int(port), timeout=60)
if way == "starttls":
    server.stls(tls)
try:
    server.user(user)
    server.pass_(os.environ["PASSWORD"])
except poplib.error_proto as e:
    sys.exit(f"error_proto: {e}")
count, _ = server.stat()
for number in range(1, count + 1):
    _, lines, _ = server.retr(number)
    print(base64.b64encode(b"".join(line + b"\r\n" for line in lines)).decode())
server.quit()
