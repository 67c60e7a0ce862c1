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

// lookAgain is how long the files of certificates are not looked at after they
// were: a storm of handshakes costs one look a second.
const lookAgain = time.Second

// certificates are what clients are shown, in the order of the configuration.
type certificates []*certificate

// A certificate is one of the configuration, and its key. It is read anew when
// one of its files has changed.
type certificate struct {
	config.Certificate
	log *slog.Logger

	mu     sync.Mutex
	pair   *tls.Certificate
	looked time.Time
	read   [2]fs.FileInfo // what the files were when the pair was read
	failed [2]fs.FileInfo // what they were when they were no pair
	told   bool           // that these are none
}

// readCertificates reads all of the configuration. Every fault is told at once.
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
		err = fmt.Errorf("%w: the user that xoauthd runs as must be able to read it, by its group for example", err)
	}
	return pair, err
}

// stats tells what files there are; one that cannot be looked at is nil.
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

// current returns the certificate and its key, as they are in the files now, or
// were when they last made a pair.
func (c *certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) >= lookAgain {
		c.looked = now
		c.look()
	}
	return c.pair
}

// look reads files that have changed. They are replaced one after the other, so
// that it is no fault if they do not fit at first, but only if they stay so.
func (c *certificate) look() {
	files := stats(c.Certificate)
	if sameFiles(files, c.read) {
		return
	}
	pair, err := readPair(c.Certificate)
	switch {
	case err == nil:
		c.pair, c.read, c.failed, c.told = pair, files, [2]fs.FileInfo{}, false
		c.log.Info("certificate renewed", "file", c.File, "ends", pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	case !sameFiles(files, c.failed):
		c.failed, c.told = files, false
	case !c.told:
		c.told = true
		c.log.Error("certificate cannot be renewed; the one before stays in use", "file", c.File, "why", err)
	}
}

// choose returns the first certificate that suits the client: its name, and what
// the client can do with the key. It is the first of all where none does.
func (cs certificates) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	for _, c := range cs {
		if pair := c.current(); hello.SupportsCertificate(pair) == nil {
			return pair, nil
		}
	}
	if len(cs) == 0 {
		return nil, errors.New("there is no certificate")
	}
	return cs[0].current(), nil
}

// serverConfig is how clients of l begin TLS.
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

// oldSuites are those of a listener that takes TLS below 1.2. The devices which
// need that know CBC alone, often with a key exchange by RSA and at times with
// nothing but 3DES; Go offers the latter two only if they are asked for. What a
// client shares with us that is better is preferred all the same. RC4 is left out:
// RFC 7465 forbids it, and 3DES is as old.
func oldSuites() (ids []uint16) {
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if !strings.Contains(s.Name, "_RC4_") {
			ids = append(ids, s.ID)
		}
	}
	return ids
}
