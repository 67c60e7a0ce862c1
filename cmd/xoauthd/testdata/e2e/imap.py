"""Prints each message of the inbox as a line of base64: imap.py PORT USER."""

import base64
import imaplib
import os
import sys

port, user = sys.argv[1:]
with imaplib.IMAP4("127.0.0.1", int(port), timeout=60) as server:
    try:
        server.login(user, os.environ["PASSWORD"])
    except imaplib.IMAP4.error as e:
        sys.exit(f"IMAP4.error: {e}")
    server.select("INBOX", readonly=True)
    _, (numbers,) = server.search(None, "ALL")
    for number in numbers.split():
        _, parts = server.fetch(number, "(BODY.PEEK[])")
        print(base64.b64encode(parts[0][1]).decode())
