package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLogins(t *testing.T) {
	c := loadGood(t, "logins.toml", today)
	alice := c.Accounts["alice@example.com"]
	var networks []netip.Prefix
	for _, s := range []string{"192.0.2.7/32", "192.0.2.8/32", "2001:db8::/32", "127.0.0.1/32", "0.0.0.0/0"} {
		networks = append(networks, netip.MustParsePrefix(s))
	}
	if want := []Login{
		{Label: "laptop", User: "alice@example.com", PasswordHash: hash, Line: 22},
		{Label: "Phone_2.b-c", User: "ALICE@example.com", PasswordHash: alice.Logins[1].PasswordHash, Line: 25,
			Protocols: Protocols(), Networks: networks},
	}; !reflect.DeepEqual(alice.Logins, want) {
		t.Errorf("%+v\nwant %+v", alice.Logins, want)
	}
	if alice.PasswordHash != "" || !slices.Equal(alice.SharedMailboxes, []string{"*"}) {
		t.Errorf("%+v", alice)
	}
	bob := c.Accounts["bob@example.com"]
	if len(bob.Logins) != 3 || bob.Logins[2].Line != 39 || !slices.Equal(bob.SharedMailboxes, []string{"info@example.com", "archive"}) {
		t.Errorf("%+v", bob)
	}
}

// TestLoginEnd checks that a login with a date expires at the end of that day, and a login
// with a time at that time.
func TestLoginEnd(t *testing.T) {
	name, text := filepath.Join(t.TempDir(), "xoauthd.toml"), testdata(t, "good/minimal.toml")
	for _, row := range []struct {
		ends string
		end  time.Time
	}{
		{"2027-05-01", time.Date(2027, 5, 2, 0, 0, 0, 0, time.Local)},
		{"2027-12-31", time.Date(2028, 1, 1, 0, 0, 0, 0, time.Local)},
		{"2027-05-01T08:00:00", time.Date(2027, 5, 1, 8, 0, 0, 0, time.Local)},
		{"2027-05-01T08:00:00+02:00", time.Date(2027, 5, 1, 6, 0, 0, 0, time.UTC)},
	} {
		login := `[[account."Alice@Example.com".login]]
label = "x"
password_hash = "` + hash + `"
ends = ` + row.ends
		if err := os.WriteFile(name, []byte(text+"\n"+login), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, now := range []time.Time{row.end.Add(-1), row.end} {
			c, err := loadAt(name, now)
			if err != nil {
				t.Fatal(err)
			}
			if ends := c.Accounts["Alice@Example.com"].Logins[0].Ends; !ends.Equal(row.end) {
				t.Errorf("%s: ends %s", row.ends, ends)
			}
			want := "ends: the login expired on " + row.ends[:len(time.DateOnly)]
			if warned := strings.Contains(Faults(c.Warnings).Error(), want); warned != (now == row.end) {
				t.Errorf("%s, at %s: %v", row.ends, now, Faults(c.Warnings))
			}
		}
	}
}
