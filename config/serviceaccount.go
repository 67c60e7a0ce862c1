package config

import (
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
)

// A ServiceAccount acts for all mailboxes of a Google Workspace whose administrator has
// delegated the domain to it.
type ServiceAccount struct {
	Email    string          // iss of the assertions (RFC 7523 section 3)
	KeyID    string          // kid of the assertions (RFC 7515 section 4.1.4)
	Key      *rsa.PrivateKey // signs the assertions with RS256
	TokenURL string          // from the key file; Provider.TokenURL takes precedence
}

// serviceAccount reads the key file of a service account. It returns nil if there is
// none.
func (t *table) serviceAccount() *ServiceAccount {
	text := t.secret("service account", checkServiceAccount,
		source{"service_account_file", t.secretFile},
		source{"service_account_credential", credentialSecret},
	).Reveal()
	account, err := parseServiceAccount(text)
	if err != nil {
		return nil // already reported, unavailable, or absent
	}
	return account
}

func checkServiceAccount(text string) error {
	_, err := parseServiceAccount(text)
	return err
}

// parseServiceAccount parses a key file made by the Google Cloud console. Its errors show
// nothing of the file.
func parseServiceAccount(text string) (*ServiceAccount, error) {
	var file struct {
		Type       string `json:"type"`
		KeyID      string `json:"private_key_id"`
		PrivateKey string `json:"private_key"`
		Email      string `json:"client_email"`
		TokenURL   string `json:"token_uri"`

		Installed, Web any // present in the file of an OAuth client
	}
	if json.Unmarshal([]byte(text), &file) != nil {
		return nil, errors.New("is not JSON; use the unmodified key file from the Google Cloud console")
	}
	switch {
	case file.Installed != nil || file.Web != nil:
		return nil, errors.New(`is the file of an OAuth client, which is for the flow "authorization_code"; create a key of the service account`)
	case file.Type == "external_account":
		return nil, errors.New(`is an external account (workload identity federation), which only a token_command can use; create a key of the service account`)
	case file.Type != "service_account":
		return nil, errors.New(`does not have the type "service_account"; create a key of the service account in the Google Cloud console`)
	case checkLine(file.Email) != nil:
		return nil, errors.New("has no client_email; use the unmodified key file from the Google Cloud console")
	}
	if file.TokenURL != "" {
		if err := checkURL(file.TokenURL); err != nil {
			return nil, fmt.Errorf("its token_uri %w", err)
		}
	}
	key, err := parseKey(file.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("its private_key: %w", err)
	}
	return &ServiceAccount{file.Email, file.KeyID, key, file.TokenURL}, nil
}
