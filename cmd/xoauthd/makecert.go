package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/spf13/cobra"
)

// maxCertificateDays is ten years: a device that nobody comes near has to trust
// its certificate for as long as it lives.
const maxCertificateDays = 3650

func makeCertCommand() *cobra.Command {
	var folder string
	var days int
	var old bool
	c := &cobra.Command{
		Use:   "make-cert [NAME...]",
		Short: "Make a certificate for the listeners",
		Long: `Make a key, localhost.key, and a certificate for it, localhost.pem, for a
[[certificate]] of the configuration: of localhost, 127.0.0.1 and ::1, and of the
NAMEs and addresses by which programs reach this machine, the first of which gives
the files their name. No authority has signed it, so each program has to be told to
trust it; how, is printed. Files that are there already are left alone: to renew a
certificate, move them away, make others, and have programs trust those.`,
		Args: func(_ *cobra.Command, names []string) error {
			if days < 1 || days > maxCertificateDays {
				return fmt.Errorf("--days %d is not from 1 to %d", days, maxCertificateDays)
			}
			return checkNames(names)
		},
		RunE: action(func(cmd *cobra.Command, names []string) error {
			here := []string{"localhost", "127.0.0.1", "::1"}
			certificate, key, err := selfSigned(append(here, names...), days, old)
			if err != nil {
				return err
			}
			made, err := filepath.Abs(folder)
			if err != nil {
				return err
			}
			made = filepath.Join(made, append(names, "localhost")[0])
			if err := writePair(made+".pem", certificate, made+".key", key); err != nil {
				return err
			}
			return tellCertificate(cmd.OutOrStdout(), made, certificate)
		}),
	}
	c.Flags().StringVar(&folder, "directory", ".", "`folder` of the two files")
	c.Flags().IntVar(&days, "days", 825, "how long it is good; macOS and iOS take no longer than 825 days")
	c.Flags().BoolVar(&old, "rsa", false, "make an RSA key, for programs too old for ECDSA")
	return c
}

// hostName is one of RFC 1123 section 2.1, or with the underscores that are in use.
var hostName = regexp.MustCompile(`^[0-9A-Za-z_]([0-9A-Za-z_.-]{0,251}[0-9A-Za-z_])?$`)

func checkNames(names []string) error {
	for _, name := range names {
		if net.ParseIP(name) == nil && !hostName.MatchString(name) {
			return fmt.Errorf("%q is neither the name of a host nor an IP address", name)
		}
	}
	return nil
}

// selfSigned makes a certificate and its key. It is that of a server, and of no
// authority: whoever gets hold of the key cannot make others with it that are
// trusted.
func selfSigned(names []string, days int, old bool) (*x509.Certificate, crypto.Signer, error) {
	var key crypto.Signer
	var err error
	usage := x509.KeyUsageDigitalSignature
	if old {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
		usage |= x509.KeyUsageKeyEncipherment // by which the oldest exchange keys
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, nil, err
	}
	start := time.Now().Add(-time.Hour) // clocks differ
	form := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"xoauthd"}, CommonName: names[0]},
		NotBefore:             start,
		NotAfter:              start.AddDate(0, 0, days),
		KeyUsage:              usage,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			continue
		}
		if ip := net.ParseIP(name); ip == nil {
			form.DNSNames = append(form.DNSNames, name)
		} else {
			form.IPAddresses = append(form.IPAddresses, ip)
		}
	}
	raw, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	c, err := x509.ParseCertificate(raw)
	return c, key, err
}

// writePair writes a certificate and its key, or neither: the key first, so that a
// certificate that is there has one. The key is for its owner alone, but in a folder
// that gives its group to what is made there, as /etc/xoauthd does: that is how the
// daemon reads it.
func writePair(certFile string, certificate *x509.Certificate, keyFile string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	info, err := os.Stat(filepath.Dir(keyFile))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: make it first, or choose another --directory", err)
	}
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o600)
	if info.Mode()&fs.ModeSetgid != 0 {
		mode = 0o640
	}
	if isThere(keyFile) && !isThere(certFile) {
		return fmt.Errorf("%s is there already, but not its certificate, as when make-cert was interrupted: remove it, unless another certificate needs it", keyFile)
	}
	if err := writeNew(keyFile, mode, &pem.Block{Type: "PRIVATE KEY", Bytes: der}); err != nil {
		return err
	}
	if err := writeNew(certFile, 0o644, &pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}); err != nil {
		return errors.Join(err, os.Remove(keyFile))
	}
	return nil
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// writeNew writes a file that is not there yet. What the process would take away
// from mode is left out of account: a certificate is for everybody.
func writeNew(path string, mode fs.FileMode, block *pem.Block) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: move it away, or choose another --directory", path)
	}
	if err != nil {
		return err
	}
	err = errors.Join(f.Chmod(mode), pem.Encode(f, block), f.Sync(), f.Close())
	if err != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// tellCertificate says what to do with the files that were made.
func tellCertificate(w io.Writer, made string, c *x509.Certificate) error {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return nextSteps.Execute(w, struct{ Made, Names, Ends string }{
		made, strings.Join(names, ", "), c.NotAfter.Local().Format("2 January 2006"),
	})
}

var nextSteps = template.Must(template.New("").Parse(`Made {{.Made}}.pem, a certificate of
  {{.Names}}
that is good until {{.Ends}}, and its key, {{.Made}}.key.
The key is secret: only xoauthd has to read it, by the group xoauthd and mode 640.

In the configuration:

  [[certificate]]
  file     = "{{.Made}}.pem"
  key_file = "{{.Made}}.key"

and in each [[listener]] that is to use it, for example, tls = "starttls".

Programs have to trust it:

  all of Debian and Ubuntu
      cp {{.Made}}.pem /usr/local/share/ca-certificates/xoauthd.crt
      update-ca-certificates
  curl, msmtp and mpop, if they do not yet, by that copy: other users may not be let
  into the folder of the original
      --cacert /usr/local/share/ca-certificates/xoauthd.crt
      tls_trust_file /usr/local/share/ca-certificates/xoauthd.crt
  Thunderbird
      confirm the exception when it first connects, or add it beforehand:
      Settings, Privacy & Security, Manage Certificates, Servers
  a scanner or another device
      upload {{.Made}}.pem where it keeps trusted certificates

Never copy the key to any of them.
`))
