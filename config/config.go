// Package config reads xoauthd's configuration file. It is strict: a key that
// means nothing, a value of the wrong type, a file that is missing are all
// told at once, each with its line, what is wrong and what would be right.
// The file is read, never written.
package config

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// A Config is what a configuration file says, with the defaults filled in.
// The file example.toml explains every key.
type Config struct {
	File string // as it was given to Load

	// Fingerprint is that of the file and of the files that it names: what differs
	// has different ones. Credentials and variables, which commands are not given,
	// are no part of it, nor is what is read anew while the daemon runs: the
	// assertion of a token, the certificates of listeners. It is not for the log:
	// short secrets in those files could be guessed from it.
	Fingerprint string

	StateDirectory string // where the grants are kept
	Store          Store
	Log            Log
	Limits         Limits
	Web            *Web          // nil: no web endpoint
	Metrics        *Metrics      // nil: no metrics endpoint
	Certificates   []Certificate // of the listeners, the first for who asks for none of their names
	Listeners      []Listener
	Providers      map[string]*Provider // by name
	Accounts       map[string]*Account  // by name, as written; of patterns, one for each mailbox

	// Withheld tells of the systemd credentials and the environment variables that
	// this process was not given. Commands can do without; a daemon cannot, and
	// must not start.
	Withheld Faults

	// Warnings are not faults, but are worth saying, sorted by line.
	Warnings []Fault
}

// Store says how the grants are kept in the state directory.
type Store struct {
	Encrypt bool // if not, they are in the clear, and keys only decrypt
	Migrate bool // grants that an earlier configuration wrote are taken over

	// Keys are those of "xoauthd make-key", one a line, between blank lines and
	// comments: the first encrypts, all decrypt. If there are none, the state
	// directory has one of its own.
	Keys Secret
}

// Log says what is logged, and how.
type Log struct {
	Level  string // "debug", "info", "warn" or "error"
	Format string // "text" or "json"
}

// Limits bound what clients can use up.
type Limits struct {
	Sessions           int           // at one time, in all
	SessionsPerAccount int           // at one time, of one account
	SessionsPerLogin   int           // so of one login
	SessionsPerAddress int           // so from one address that is not of this machine
	QueueTimeout       time.Duration // of a client that waits until it is one of so many
	LoginTimeout       time.Duration // of a client, from connecting to having said who it is
	StepTimeout        time.Duration // of one step of a dialogue with a server
	IdleTimeout        time.Duration // of a relay in which nothing moves either way
	DrainTimeout       time.Duration // of the sessions that run when the daemon is stopped
}

// Web is the endpoint at which a person authorizes an account. Only this machine
// can reach it, as its pages have no sign-in.
type Web struct {
	Endpoint
	PublicURL string // as browsers reach it, without a slash at its end
}

// Metrics is the endpoint at which Prometheus reads.
type Metrics struct {
	Endpoint
	Hosts []string // names by which clients reach it, beside IP addresses and localhost
}

// Protocols returns those that a listener may have, and a provider servers for.
func Protocols() []string { return []string{"imap", "smtp", "pop3"} }

// A Provider runs the mail servers of some accounts, and lets xoauthd have
// tokens for them. What its flow has no use for is empty.
type Provider struct {
	Name   string
	Preset string // empty: written out in full
	Title  string // what people call it; empty without a preset

	// Flow is how its accounts get what they log in with: "authorization_code"
	// (RFC 6749 section 4.1), "device_code" (RFC 8628), "client_credentials" and
	// "password" (RFC 6749 sections 4.4 and 4.3), "service_account" (RFC 7523
	// section 2.1), "command", or, with no token at all, "app_password".
	Flow string

	// The client, who shows that it is one by a secret, by a certificate, by an
	// assertion (RFC 7523 section 2.2), or is public (RFC 6749 section 2.1).
	ClientID                   string
	ClientSecret               Secret
	ClientSecretExpires        time.Time        // zero: not known
	ClientCertificate          *tls.Certificate // with Leaf, and an RSA key; nil: none
	ClientCertificateAlgorithm string           // "PS256" or "RS256" (RFC 7518 section 3.1)
	ClientAssertionFile        string           // read for each token, and perhaps not there yet; empty: none
	AuthStyle                  string           // of the secret at the token endpoint: "params" or "header"

	ServiceAccount      *ServiceAccount // nil unless the flow is "service_account"
	TokenCommand        []string        // a program and its arguments, in which {account} is to be replaced
	TokenCommandTimeout time.Duration

	AuthorizationURL       string
	DeviceAuthorizationURL string // RFC 8628 section 3.1
	TokenURL               string
	RevocationURL          string // RFC 7009; empty: the provider has none
	Revocation             string // what one token revokes there: its own "grant", or "all" of its person and this client
	RedirectURL            string // empty if there is neither a redirect_url nor a [web]
	Issuer                 string // RFC 9207, in which {tenantid} is any id; empty: a response must have no iss
	RequireIss             bool   // a response must have one

	Scopes              []string
	AuthorizationParams map[string]string // added to the authorization URL
	Mechanism           string            // "auto", "xoauth2" or "oauthbearer"; for an app password "auto", "plain" or "login"

	// Proxy is the URL of what all connections to the provider go through: http,
	// https or socks5, with a port, and its password. "direct" is none; if it is
	// empty, calls of the token endpoint go as the environment says.
	Proxy Secret

	CAFile  string         // more certificates to trust, in PEM; may be empty
	RootCAs *x509.CertPool // the system's and CAFile's; nil: the system's

	IMAP, SMTP, POP3 *Upstream // nil: the provider has none
}

// Upstream returns the provider's server for a listener's protocol, or nil if
// there is none.
func (p *Provider) Upstream(protocol string) *Upstream {
	switch protocol {
	case "imap":
		return p.IMAP
	case "smtp":
		return p.SMTP
	case "pop3":
		return p.POP3
	}
	return nil
}

// An Upstream is a mail server of a provider. There is none without TLS.
type Upstream struct {
	Host string
	Port int
	TLS  string // "implicit" or "starttls" (RFC 8314 section 3)

	Sessions int // that an account may have there at one time; 0: any number
}

// Address returns host:port, in which an IPv6 address is in brackets.
func (u Upstream) Address() string {
	return net.JoinHostPort(u.Host, strconv.Itoa(u.Port))
}

// An Account is a mailbox, and the password its clients log in with.
type Account struct {
	Name         string // the user name, of clients and at the provider
	Pattern      string // the name of the table that it comes from, "*@example.com"; empty: its own
	Provider     string // a name in Config.Providers
	PasswordHash string // that of its own login; empty: it has none
	Logins       []Login
	Enabled      bool // if not, the grant is kept and logins are refused
	Line         int  // in the file

	UpstreamPassword Secret // for the flows "password" and "app_password"
	IMAPUser         string // at the upstream; empty: the name
	SMTPUser         string
	POP3User         string
	SharedMailboxes  []string // that a client may name behind its user name and \ or *; one "*": any
	LoginHint        string   // who signs in at the provider: the name, or a delegate of the mailbox
}

// User returns who the account is at the upstream of a protocol. A shared
// mailbox can be read under its own name, but sends as one of its delegates.
func (a *Account) User(protocol string) string {
	switch protocol {
	case "imap":
		return cmp.Or(a.IMAPUser, a.Name)
	case "smtp":
		return cmp.Or(a.SMTPUser, a.Name)
	case "pop3":
		return cmp.Or(a.POP3User, a.Name)
	}
	return a.Name
}

// A Login is one more user name and password of an account, for one program.
type Login struct {
	Label        string // names it in the log and the metrics
	User         string // the account's name, or another
	PasswordHash string
	Protocols    []string       // that it may speak; empty: all
	Networks     []netip.Prefix // where it may come from; empty: anywhere
	Ends         time.Time      // when it does; zero: never
	Line         int            // in the file
}
