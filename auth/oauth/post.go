package oauth

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"
)

// post sends a form to an endpoint other than the token endpoint, with client authentication
// (RFC 6749 section 2.3.1). It returns the body. An error answer is an oauth2.RetrieveError,
// as from the token endpoint.
func (p *Provider) post(ctx context.Context, endpoint string, form url.Values) ([]byte, error) {
	config := p.config()
	form.Set("client_id", config.ClientID)
	inHeader := config.ClientSecret != "" && config.Endpoint.AuthStyle == oauth2.AuthStyleInHeader
	if config.ClientSecret != "" && !inHeader {
		form.Set("client_secret", config.ClientSecret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if inHeader {
		req.SetBasicAuth(url.QueryEscape(config.ClientID), url.QueryEscape(config.ClientSecret))
	}
	resp, err := oauth2.NewClient(p.withClient(ctx), nil).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	var fault struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(body, &fault) // the body may not be JSON
	if resp.StatusCode < 200 || resp.StatusCode > 299 || fault.Code != "" {
		return nil, &oauth2.RetrieveError{Response: resp, ErrorCode: fault.Code, ErrorDescription: fault.Description}
	}
	return body, nil
}
