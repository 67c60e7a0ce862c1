package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/xoauthd/xoauthd/auth/password"
	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/testing/ca"
)

// blocks are the texts between fences of README and docs, of one language or of none.
func blocks(t *testing.T, language string) (all []string) {
	t.Helper()
	fenced := regexp.MustCompile("(?ms)^( *)```(\\w*)\n(.*?)^ *```$")
	for _, file := range documents(t) {
		for _, b := range fenced.FindAllStringSubmatch(read(t, file), -1) {
			if b[2] == language {
				all = append(all, strings.ReplaceAll("\n"+b[3], "\n"+b[1], "\n"))
			}
		}
	}
	if len(all) == 0 {
		t.Errorf("no document has a block of %q", language)
	}
	return all
}

// TestReadmeCommands: README and docs show the commands, each run by the user that
// can run it.
func TestReadmeCommands(t *testing.T) {
	runs := regexp.MustCompile(`(sudo (?:-u xoauthd )?)?xoauthd ([a-z-]+)`).FindAllStringSubmatch(strings.Join(blocks(t, ""), ""), -1)
	users := map[string]string{}
	for _, run := range runs {
		if before, ok := users[run[2]]; ok && before != run[1] {
			t.Errorf("%s is run by %q and by %q", run[2], before, run[1])
		}
		users[run[2]] = run[1]
	}
	for _, c := range command().Commands() {
		name, want := c.Name(), "sudo -u xoauthd "
		switch name {
		case "serve", "completion", "help":
			continue
		case "hash-password", "make-key":
			want = ""
		case "make-cert": // it writes into the configuration's folder
			want = "sudo "
		}
		user, run := users[name]
		if run && user != want {
			t.Errorf("%s is run by %q", name, user)
		}
		if !run && !regexp.MustCompile("`(xoauthd )?"+name+"\\b").MatchString(read(t, "docs/install.md")) {
			t.Errorf("docs/install.md does not have %s", name)
		}
	}
}

// TestReadmeConfigurations loads every part of a configuration that README and docs
// show.
func TestReadmeConfigurations(t *testing.T) {
	dir := t.TempDir()
	secrets(t, dir)
	hash, err := password.Hash("secret")
	if err != nil {
		t.Fatal(err)
	}
	bcrypted, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.DefaultCost)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range blocks(t, "toml") {
		if strings.Contains(text, ".login]]") { // of an account that another block has
			text = "[provider.google]\npreset = 'google'\nclient_id = '…'\nclient_secret = '…'\n" +
				"[account.'alice@example.com']\nprovider = 'google'\n" + text
		}
		for part, whole := range map[string]string{
			"[[listener]]": "[[listener]]\nprotocol = 'imap'\naddress = '127.0.0.1:1143'\n",
			"[web]":        "[web]\naddress = '127.0.0.1:1180'\n",
			"[account.": "[provider.other]\npreset = 'microsoft'\nclient_id = '…'\n" +
				"[account.'other@example.com']\nprovider = 'other'\npassword_hash = '$argon2id$…'\n",
		} {
			if !strings.Contains(text, part) {
				text += whole
			}
		}
		file := filepath.Join(dir, "xoauthd.toml")
		put(t, file, strings.NewReplacer("$argon2id$…", hash, "$2y$12$…", string(bcrypted), "/usr/bin/oama", "/bin/sh", "www-data", "root", "…", "0").Replace(text))
		if _, err := config.Load(file); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
}

// secrets writes the files that the documents tell the reader to make.
func secrets(t *testing.T, dir string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "xoauthd@example.iam.gserviceaccount.com", "private_key_id": "1",
		"private_key": string(private), "token_uri": "https://oauth2.googleapis.com/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	authority, err := ca.New()
	if err != nil {
		t.Fatal(err)
	}
	local, err := authority.Issue("mail.example.com")
	if err != nil {
		t.Fatal(err)
	}
	shown, shownKey, err := ca.Encode(local)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "mail.example.com.pem"), string(shown))
	put(t, filepath.Join(dir, "mail.example.com.key"), string(shownKey))
	put(t, filepath.Join(dir, "company.key"), string(private))
	put(t, filepath.Join(dir, "company.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})))
	put(t, filepath.Join(dir, "workspace.json"), string(account))
	put(t, filepath.Join(dir, "google.secret"), "secret")
	put(t, filepath.Join(dir, "icloud.password"), "secret")
}

func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRedirectURIs: docs/providers/README.md and example.toml have the redirect URIs
// that the program wants registered: of each provider alone, and of both.
func TestRedirectURIs(t *testing.T) {
	const microsoft = "[provider.microsoft]\npreset = 'microsoft'\nclient_id = 'id'\n"
	const google = "[provider.google]\npreset = 'google'\nclient_id = 'id'\nclient_secret = 'secret'\n"
	hash, err := password.Hash("secret")
	must(t, err)
	shown := map[string]bool{}
	for _, providers := range []string{google, microsoft, google + microsoft} {
		file := filepath.Join(t.TempDir(), "xoauthd.toml")
		name := regexp.MustCompile(`\[provider\.(\w+)\]`).FindStringSubmatch(providers)[1]
		put(t, file, "[[listener]]\nprotocol = 'imap'\naddress = '127.0.0.1:1143'\n[web]\naddress = '127.0.0.1:1180'\n"+
			providers+"[account.'alice@example.com']\nprovider = '"+name+"'\npassword_hash = '"+hash+"'\n")
		c, err := config.Load(file)
		must(t, err)
		for _, p := range c.Providers {
			uri, _ := p.Registration()
			shown[uri] = true
		}
	}
	for file, more := range map[string]string{"docs/providers/README.md": "", "example.toml": "http://localhost:1180/callback/example"} {
		text := read(t, file)
		for uri := range shown {
			if !regexp.MustCompile(regexp.QuoteMeta(uri) + `[^/\w]`).MatchString(text) {
				t.Errorf("%s does not show %s", file, uri)
			}
		}
		for _, uri := range regexp.MustCompile(`http://localhost[\w:/]*/callback[\w/]*`).FindAllString(text, -1) {
			if !shown[uri] && uri != more {
				t.Errorf("%s shows %s", file, uri)
			}
		}
	}
}
