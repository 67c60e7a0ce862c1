"""Sends the message on standard input: smtp.py PORT USER RECIPIENT."""

import os
import smtplib
import ssl
import sys

port, user, recipient = sys.argv[1:]
way, tls = os.environ["WAY"], ssl.create_default_context()
if way == "implicit":
    server = smtplib.SMTP_SSL("127.0.0.1", int(port), context=tls, timeout=60)
else:
    server = smtplib.SMTP("127.0.0.1", int(port), timeout=60)
with server:
    if way == "starttls":
        server.starttls(context=tls)
    try:
        server.login(user, os.environ["PASSWORD"])
    except smtplib.SMTPAuthenticationError as e:
        sys.exit(f"SMTPAuthenticationError: {e.smtp_code} {e.smtp_error.decode()}")
    server.sendmail(user, recipient, sys.stdin.buffer.read(), ["BODY=8BITMIME"])
