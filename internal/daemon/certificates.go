package daemon

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/xoauthd/xoauthd/config"
)

// checkInterval is the shortest interval between two checks of a certificate's files. A flood
// of handshakes costs one check a second.
const checkInterval = time.Second

// certificates are the server certificates, in the order of the configuration.
type certificates []*certificate

// A certificate is a certificate of the configuration with its key. It is read again when
// one of its files has changed.
type certificate struct {
	config.Certificate
	log *slog.Logger

	mu       sync.Mutex
	pair     *tls.Certificate
	looked   time.Time
	read     [2]fs.FileInfo // the files of pair
	failed   [2]fs.FileInfo // files that are not a valid pair
	reported bool           // the error about these is logged
}

// readCertificates reads all certificates of the configuration. It returns all errors.
func readCertificates(c *config.Config, log *slog.Logger) (certificates, error) {
	var all certificates
	var faults []error
	for _, of := range c.Certificates {
		one := &certificate{Certificate: of, log: log, looked: time.Now(), read: stats(of)}
		var err error
		if one.pair, err = readPair(of); err != nil {
			faults = append(faults, fmt.Errorf("%s:%d: certificate: %w", c.File, of.Line, err))
		}
		all = append(all, one)
	}
	return all, errors.Join(faults...)
}

func readPair(of config.Certificate) (*tls.Certificate, error) {
	pair, err := of.Load()
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w: the user of the daemon must be able to read it, for example by its group", err)
	}
	return pair, err
}

// stats returns the file information of both files, or nil for a file without one.
func stats(of config.Certificate) (infos [2]fs.FileInfo) {
	for i, path := range []string{of.File, of.KeyFile} {
		if info, err := os.Stat(path); err == nil {
			infos[i] = info
		}
	}
	return infos
}

func sameFiles(a, b [2]fs.FileInfo) bool {
	return slices.EqualFunc(a[:], b[:], func(a, b fs.FileInfo) bool {
		if a == nil || b == nil {
			return a == b
		}
		return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
	})
}

// current returns the certificate and its key as in the files now, or as they were when
// they last were a valid pair.
func (c *certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) >= checkInterval {
		c.looked = now
		c.reload()
	}
	return c.pair
}

// reload reads files that have changed. They are replaced one after the other, so it is an
// error only if they still do not match at the next check.
func (c *certificate) reload() {
	files := stats(c.Certificate)
	if sameFiles(files, c.read) {
		return
	}
	pair, err := readPair(c.Certificate)
	switch {
	case err == nil:
		c.pair, c.read, c.failed, c.reported = pair, files, [2]fs.FileInfo{}, false
		c.log.Info("certificate renewed", "file", c.File, "expires", pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	case !sameFiles(files, c.failed):
		c.failed, c.reported = files, false
	case !c.reported:
		c.reported = true
		c.log.Error("certificate not renewed; the previous one stays in use", "file", c.File, "error", err)
	}
}

// choose returns the first certificate that matches the name and the algorithms of the
// client, or else the first one.
func (cs certificates) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	for _, c := range cs {
		if pair := c.current(); hello.SupportsCertificate(pair) == nil {
			return pair, nil
		}
	}
	if len(cs) == 0 {
		return nil, errors.New("no certificate is configured")
	}
	return cs[0].current(), nil
}

// serverConfig returns the TLS configuration of l.
func (cs certificates) serverConfig(l config.Listener) *tls.Config {
	c := &tls.Config{GetCertificate: cs.choose, MinVersion: l.MinTLS}
	if l.MinTLS < tls.VersionTLS12 {
		c.CipherSuites = oldSuites()
	}
	if l.ClientCAs != nil {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, l.ClientCAs
	}
	return c
}

// oldSuites returns the cipher suites of a listener with TLS below 1.2. The devices that
// need it support CBC only, often with RSA key exchange, and sometimes 3DES only. Go does
// not enable these two by default. A better suite of the client is still preferred. RC4 is
// left out, as RFC 7465 demands.
func oldSuites() (ids []uint16) {
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if !strings.Contains(s.Name, "_RC4_") {
			ids = append(ids, s.ID)
		}
	}
	return ids
}
