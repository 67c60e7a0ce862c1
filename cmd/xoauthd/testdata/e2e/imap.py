"""Prints each message of the inbox as a line of base64: imap.py PORT USER."""

import base64
import imaplib
import os
import ssl
import sys

port, user = sys.argv[1:]
way, tls = os.environ["WAY"], ssl.create_default_context()
if way == "implicit":
    server = imaplib.IMAP4_SSL("127.0.0.1", int(port), ssl_context=tls, timeout=60)
else:
    server = imaplib.IMAP4("127.0.0.1", int(port), timeout=60)
with server:
    if way == "starttls":
        server.starttls(tls)
    try:
        server.login(user, os.environ["PASSWORD"])
    except imaplib.IMAP4.error as e:
        sys.exit(f"IMAP4.error: {e}")
    server.select("INBOX", readonly=True)
    _, (numbers,) = server.search(None, "ALL")
    for number in numbers.split():
        _, parts = server.fetch(number, "(BODY.PEEK[])")
        print(base64.b64encode(parts[0][1]).decode())
