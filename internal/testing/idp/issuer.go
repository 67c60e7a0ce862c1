package idp

import (
	"net/http"
	"net/url"

	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// An issuerWriter adds the issuer to authorization responses (RFC 9207 section 2), which
// the library does not.
type issuerWriter struct {
	http.ResponseWriter
	issuer string
}

// WriteHeader implements http.ResponseWriter.
func (w *issuerWriter) WriteHeader(status int) {
	u, err := url.Parse(w.Header().Get("Location"))
	if query := u.Query(); err == nil && (query.Has("code") || query.Has("error")) {
		query.Set("iss", w.issuer)
		u.RawQuery = query.Encode()
		w.Header().Set("Location", u.String())
	}
	w.ResponseWriter.WriteHeader(status)
}

// discovery serves the metadata of RFC 8414: those of the library, without what the client
// may not use, and with the parameter of RFC 9207.
func (s *Server) discovery(w http.ResponseWriter, r *http.Request) {
	ctx := op.ContextWithIssuer(r.Context(), s.config.Issuer)
	c := op.CreateDiscoveryConfig(ctx, s.provider, s.storage)
	c.ResponseTypesSupported = []string{string(oidc.ResponseTypeCode)}
	c.ResponseModesSupported = []string{string(oidc.ResponseModeQuery)}
	c.GrantTypesSupported = client{s.config}.GrantTypes()
	httphelper.MarshalJSON(w, struct {
		*oidc.DiscoveryConfiguration
		Iss bool `json:"authorization_response_iss_parameter_supported"`
	}{c, true})
}
