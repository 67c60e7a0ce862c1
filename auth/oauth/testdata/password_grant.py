"""A token endpoint for the password grant (RFC 6749 section 4.3), by oauthlib.

It takes the credentials of one client and of one user from the environment,
prints its port, and serves on loopback until standard input ends.
"""

import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from oauthlib.oauth2 import LegacyApplicationServer, RequestValidator


class Client:
    client_id = os.environ["CLIENT_ID"]


class Validator(RequestValidator):
    def authenticate_client(self, request, *args, **kwargs):
        request.client = Client
        return (request.client_id, request.client_secret) == (
            Client.client_id,
            os.environ["CLIENT_SECRET"],
        )

    def validate_grant_type(self, client_id, grant_type, client, request, *args, **kwargs):
        return grant_type == "password"

    def validate_user(self, username, password, client, request, *args, **kwargs):
        request.user = username
        return (username, password) == (os.environ["USER_NAME"], os.environ["PASSWORD"])

    def validate_scopes(self, client_id, scopes, client, request, *args, **kwargs):
        return scopes == ["mail"]

    def save_bearer_token(self, token, request, *args, **kwargs):
        pass


class Handler(BaseHTTPRequestHandler):
    server_version = "oauthlib"
    token_endpoint = LegacyApplicationServer(Validator())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        headers, answer, status = self.token_endpoint.create_token_response(
            "https://localhost" + self.path, "POST", body, dict(self.headers)
        )
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *args):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
