"""Sends the message on standard input: smtp.py PORT USER RECIPIENT."""

import os
import smtplib
import sys

port, user, recipient = sys.argv[1:]
with smtplib.SMTP("127.0.0.1", int(port), timeout=60) as server:
    try:
        server.login(user, os.environ["PASSWORD"])
    except smtplib.SMTPAuthenticationError as e:
        sys.exit(f"SMTPAuthenticationError: {e.smtp_code} {e.smtp_error.decode()}")
    server.sendmail(user, recipient, sys.stdin.buffer.read(), ["BODY=8BITMIME"])
