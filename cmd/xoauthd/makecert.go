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

// maxCertificateDays is ten years: some devices cannot be given another certificate in
// their lifetime.
const maxCertificateDays = 3650

func makeCertCommand() *cobra.Command {
	var folder string
	var days int
	var old bool
	c := &cobra.Command{
		Use:   "make-cert [NAME...]",
		Short: "Make a certificate for the listeners",
		Long: `Make a private key, localhost.key, and a certificate, localhost.pem, for a
[[certificate]] of the configuration. It is valid for localhost, 127.0.0.1 and ::1, and
for the NAMEs and addresses by which programs reach this machine; the first of them
names the files. The certificate is self-signed: the command prints how programs are
made to trust it. Existing files are never replaced. To renew a certificate, move them
away, make new ones, and make programs trust those.`,
		Args: func(_ *cobra.Command, names []string) error {
			if days < 1 || days > maxCertificateDays {
				return fmt.Errorf("--days %d is not between 1 and %d", days, maxCertificateDays)
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
	c.Flags().IntVar(&days, "days", 825, "validity; macOS and iOS accept at most 825 days")
	c.Flags().BoolVar(&old, "rsa", false, "make an RSA key, for programs that do not support ECDSA")
	return c
}

// hostName matches the names of RFC 1123 section 2.1, and underscores, which are in
// use.
var hostName = regexp.MustCompile(`^[0-9A-Za-z_]([0-9A-Za-z_.-]{0,251}[0-9A-Za-z_])?$`)

func checkNames(names []string) error {
	for _, name := range names {
		if net.ParseIP(name) == nil && !hostName.MatchString(name) {
			return fmt.Errorf("%q is neither a host name nor an IP address", name)
		}
	}
	return nil
}

// selfSigned makes a server certificate and its key. The certificate is not one of an
// authority, so a stolen key cannot sign other certificates.
func selfSigned(names []string, days int, old bool) (*x509.Certificate, crypto.Signer, error) {
	var key crypto.Signer
	var err error
	usage := x509.KeyUsageDigitalSignature
	if old {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
		usage |= x509.KeyUsageKeyEncipherment // for the RSA key exchange of old TLS versions
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

// writePair writes a certificate and its key, or neither. It writes the key first, so
// that an existing certificate has one. Only the owner can read the key, and in a folder
// with the setgid bit, such as /etc/xoauthd, its group: the daemon reads it that way.
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
		return fmt.Errorf("%s exists without its certificate, perhaps because make-cert was interrupted: remove it, unless another certificate needs it", keyFile)
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

// writeNew writes a new file with exactly this mode, whatever the umask is.
func writeNew(path string, mode fs.FileMode, block *pem.Block) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already: move it away, or choose another --directory", path)
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

// tellCertificate prints how to use the new files.
func tellCertificate(w io.Writer, made string, c *x509.Certificate) error {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return nextSteps.Execute(w, struct{ Made, Names, Ends string }{
		made, strings.Join(names, ", "), c.NotAfter.Local().Format("2 January 2006"),
	})
}

var nextSteps = template.Must(template.New("").Parse(`Made {{.Made}}.pem, a certificate for
  {{.Names}}
that is valid until {{.Ends}}, and its private key, {{.Made}}.key.
The key is secret: only xoauthd must be able to read it (group xoauthd, mode 640).

Add to the configuration:

  [[certificate]]
  file     = "{{.Made}}.pem"
  key_file = "{{.Made}}.key"

and to each [[listener]] that uses it, for example, tls = "starttls".

Make programs trust the certificate:

  every program of Debian and Ubuntu
      cp {{.Made}}.pem /usr/local/share/ca-certificates/xoauthd.crt
      update-ca-certificates
  curl, msmtp and mpop, if they do not yet, with that copy: other users may be unable
  to read the original
      --cacert /usr/local/share/ca-certificates/xoauthd.crt
      tls_trust_file /usr/local/share/ca-certificates/xoauthd.crt
  Thunderbird
      confirm the exception at the first connection, or add it before:
      Settings, Privacy & Security, Manage Certificates, Servers
  a scanner or another device
      upload {{.Made}}.pem to its trusted certificates

Never copy the key to any of them.
`))
