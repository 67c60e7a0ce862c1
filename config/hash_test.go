package config

import "testing"

// TestHashes checks that Load returns hashes of every type without the prefixes and
// suffixes that other programs add.
func TestHashes(t *testing.T) {
	const (
		bcrypt = "xWDZ59SvaAu61fyc59jC2u65vXm87ihLjpp1T/7ncD.9iwM.cAJe."
		sha512 = "j3ceMm4DiNm1TyKA$NfKfrJxtFdNW2h0LqAajUBGesE.rRdWaJ1hRVRzPM8a58b/5HvWKuKoZdM1bEN9Z7bEc4PgsFOo/PegMWnejO."
	)
	c := loadGood(t, "hashes.toml", today)
	for name, want := range map[string]string{
		"alice@example.com": "$2y$05$" + bcrypt,
		"bob@example.com":   "$6$" + sha512,
		"carol@example.com": "$6$rounds=1000000$" + sha512,
		"dave@example.com":  hash,
		"erin@example.com":  "$2a$09$" + bcrypt,
		"frank@example.com": "$2b$14$" + bcrypt,
		"grace@example.com": "$2y$04$" + bcrypt,
		"heidi@example.com": "$6$" + sha512,
		"ivan@example.com":  "$2y$10$" + bcrypt,
		"judy@example.org":  "$6$rounds=1000$" + sha512,
	} {
		if a := c.Accounts[name]; a == nil || a.PasswordHash != want {
			t.Errorf("%s: %+v, want the hash %s", name, a, want)
		}
	}
}
