package wire

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
)

// A TLSError is a failed TLS handshake with a client.
type TLSError struct {
	Reason string // for the log, with a remedy; the client cannot receive it
	Err    error
}

func (e *TLSError) Error() string { return "TLS: " + e.Reason }

func (e *TLSError) Unwrap() error { return e.Err }

// tlsError converts the error of a handshake with a client. It returns a *TLSError
// only if received is true: a client that sent nothing has not tried TLS.
func (c *Conn) tlsError(err error, received bool) error {
	var violation Violation
	switch {
	case c.isInterrupted():
		return ErrInterrupted
	case !received, errors.As(err, &violation), errors.Is(err, os.ErrDeadlineExceeded),
		errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return fmt.Errorf("TLS: %w", err)
	}
	return &TLSError{tlsErrorReason(err), err}
}

// The texts of crypto/tls errors that have no type. Old mail programs and devices fail with
// these, and only the reason in the log tells the administrator what to change. A test
// compares the texts with crypto/tls.
const (
	unsupportedVersionsText = "client offered only unsupported versions: "
	noCipherText            = "no cipher suite supported by both client and server"
	noCertificateText       = "client didn't provide a certificate"
)

// tlsErrorReason describes the error of a handshake for the administrator of client
// and listener.
func tlsErrorReason(err error) string {
	var plain tls.RecordHeaderError
	var certificate *tls.CertificateVerificationError
	var op *net.OpError
	text := strings.TrimPrefix(err.Error(), "tls: ")
	versions, tooOld := strings.CutPrefix(text, unsupportedVersionsText)
	switch {
	case tooOld:
		return "client supports no version newer than " + newestVersion(versions) + ", and min_tls of the listener requires one"
	case strings.HasPrefix(text, noCipherText):
		return "client and listener have no common cipher suite; " +
			"a very old client may need min_tls below 1.2 or a certificate with an RSA key"
	case text == noCertificateText:
		return "client sent no certificate, and client_ca_file of the listener requires one"
	case errors.As(err, &certificate):
		return "client_ca_file of the listener does not allow the client certificate: " + certificate.Err.Error()
	case errors.As(err, &plain) && plain.Conn != nil:
		return "client sent plain text on a port that begins with TLS: set encryption to SSL/TLS in the client"
	case errors.As(err, &op) && op.Op == "local error" && op.Err.Error() == badRecord.Error(): // their types differ
		return "client sent an unreadable alert, as OpenSSL does if it does not trust the certificate of the listener or its name: " +
			"make the client trust the certificate or the authority that signed it, and connect by a name in the certificate"
	case errors.As(err, &op) && op.Op == "remote error":
		return alertReason(op.Err)
	case errors.As(err, &op) && op.Op != "local error", errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "client closed the connection; it may not trust the certificate of the listener"
	}
	return text
}

// newestVersion returns the name of the newest of versions, a list such as "[302
// 301]".
func newestVersion(versions string) string {
	name := "SSL 3.0" // crypto/tls lists no version for its clients
	last := uint64(0)
	for _, digits := range strings.Fields(strings.Trim(versions, "[]")) {
		// Ignore GREASE values (RFC 8701).
		if v, err := strconv.ParseUint(digits, 16, 16); err == nil && v > last && v <= tls.VersionTLS13 {
			name, last = tls.VersionName(uint16(v)), v
		}
	}
	return name
}

// distrustAlerts are the alerts of a client that rejects the server's certificate
// (RFC 8446 section 6.2): bad, unsupported, revoked, expired, unknown, and signed by
// an unknown authority.
var distrustAlerts = []tls.AlertError{42, 43, 44, 45, 46, 48}

// badRecord is the local error for the alert of OpenSSL clients under TLS 1.3, which
// arrives in plain text where it must be encrypted.
const badRecord = tls.AlertError(20)

// alertReason describes the alert with which a client ends a handshake.
func alertReason(alert error) string {
	text := strings.TrimPrefix(alert.Error(), "tls: ")
	for _, d := range distrustAlerts {
		if alert.Error() == d.Error() { // their types differ
			return "client does not trust the certificate of the listener (" + text +
				"): make the client trust it or the authority that signed it"
		}
	}
	return "client sent alert: " + text
}
