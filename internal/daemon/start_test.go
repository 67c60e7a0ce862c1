package daemon

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/auth/oauth"
	"github.com/xoauthd/xoauthd/auth/password"
	"github.com/xoauthd/xoauthd/auth/store"
	"github.com/xoauthd/xoauthd/config"
)

// manyAccounts writes a configuration with n accounts, each with a grant.
func manyAccounts(t testing.TB, n int) (file string) {
	t.Helper()
	hash, err := password.Hash("secret")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	var text bytes.Buffer
	text.WriteString(`state_directory = "state"
[[listener]]
protocol = "imap"
address = "127.0.0.1:0"
[web]
address = "127.0.0.1:0"
public_url = "http://localhost:1180"
[provider.one]
client_id = "x"
authorization_url = "https://login.example.com/authorize"
token_url = "https://login.example.com/token"
scopes = ["mail"]
imap = { host = "imap.example.com" }
`)
	store, err := store.Open(filepath.Join(folder, "state"), store.Encryption{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		name := fmt.Sprintf("user%d@example.com", i)
		fmt.Fprintf(&text, "[account.%q]\nprovider = \"one\"\npassword_hash = %q\n", name, hash)
		g := oauth.Grant{AccessToken: "access", RefreshToken: "refresh", Expiry: time.Now().Add(time.Hour)}
		if err := store.Save(name, g); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(folder, "xoauthd.toml")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// BenchmarkStart measures the time until a daemon listens.
func BenchmarkStart(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as the program does
	for _, n := range []int{1, 1000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			file := manyAccounts(b, n)
			for b.Loop() {
				start, spent := time.Now(), processorTime(b)
				c, err := config.Load(file)
				if err != nil {
					b.Fatal(err)
				}
				loaded := time.Now()
				d, err := New(c, slog.New(slog.DiscardHandler))
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(loaded.Sub(start).Milliseconds()), "ms-config")
				b.ReportMetric(float64(time.Since(loaded).Milliseconds()), "ms-daemon")
				b.ReportMetric(float64((processorTime(b) - spent).Milliseconds()), "ms-cpu")
				b.StopTimer()
				if err := d.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// processorTime returns the CPU time of this process, which hardly depends on the load of the
// machine.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
