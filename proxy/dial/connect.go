package dial

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

func (o *outbound) connectSecurely(c net.Conn, address string) (net.Conn, error) {
	secure := tls.Client(c, o.tls)
	if err := secure.Handshake(); err != nil {
		return nil, &proxyError{err: fmt.Errorf("TLS: %w", err), hint: hintProxyTLS}
	}
	return o.connect(secure, address)
}

// maxProxyAnswer limits the responses to CONNECT, in bytes.
const maxProxyAnswer = 16 << 10

func (o *outbound) connect(c net.Conn, address string) (net.Conn, error) {
	request := &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Opaque: address},
		Host:   address,
		Header: http.Header{"User-Agent": {"xoauthd"}},
	}
	if o.user != nil {
		password, _ := o.user.Password()
		request.Header.Set("Proxy-Authorization",
			"Basic "+base64.StdEncoding.EncodeToString([]byte(o.user.Username()+":"+password)))
	}
	if err := request.Write(c); err != nil {
		return nil, err
	}
	r := bufio.NewReader(io.LimitReader(unbuffered{c}, maxProxyAnswer))
	answer, err := http.ReadResponse(r, request)
	for err == nil && answer.StatusCode < 200 && answer.StatusCode != http.StatusSwitchingProtocols {
		answer, err = http.ReadResponse(r, request) // an interim response (RFC 9110 section 15.2)
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errors.New("no whole answer to CONNECT")
	case err != nil:
		return nil, fmt.Errorf("answer to CONNECT: %w", err)
	case answer.StatusCode < 200 || answer.StatusCode > 299:
		// Not the reason phrase of the proxy: it may repeat the password.
		status := fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
		return nil, &proxyError{err: errors.New(status), hint: connectHint(answer.StatusCode)}
	}
	return c, nil
}

// An unbuffered reader returns one byte per Read, so that a bufio.Reader does not read
// beyond the response: the bytes after it are from the mail server.
type unbuffered struct{ io.Reader }

func (s unbuffered) Read(p []byte) (int, error) { return s.Reader.Read(p[:min(len(p), 1)]) }

// connectHint returns the hint for the status of a response to CONNECT (RFC 9110 section
// 15).
func connectHint(status int) string {
	switch status {
	case http.StatusProxyAuthRequired, http.StatusUnauthorized:
		return "The proxy requires a user name and password, or has refused them: set proxy in the provider's section to http://user:password@host:port."
	case http.StatusForbidden, http.StatusMethodNotAllowed:
		return "The proxy does not connect to this server, or only to port 443: its administrator must allow CONNECT to the port of the mail server."
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "The proxy cannot reach the mail server: check host and port in the provider's section, and the log of the proxy."
	}
	return hintSilentProxy
}
