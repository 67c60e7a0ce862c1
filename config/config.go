// Package config reads xoauthd's configuration file. It is strict: an unknown or
// unused key, a value of the wrong type and a missing file are faults. It reports all
// faults at once, each with its line, the problem and the fix. It never writes the
// file.
package config

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/xoauthd/xoauthd/internal/flow"
)

// A Config holds the settings of a configuration file, with defaults filled in. The file
// example.toml explains every key. Do not modify a Config returned by Load.
type Config struct {
	File string // as it was given to Load

	// Fingerprint identifies the content of the configuration file and of the files that it
	// names. It does not cover credentials and environment variables, which commands do not
	// receive, nor files that the daemon reads again while it runs: client assertions and
	// server certificates. Do not log it: short secrets in those files could be guessed from
	// it.
	Fingerprint string

	StateDirectory string // directory of the grants
	Store          Store
	Log            Log
	Limits         Limits
	Web            *Web          // nil: no web endpoint
	Metrics        *Metrics      // nil: no metrics endpoint
	Certificates   []Certificate // of the listeners; the first is for clients that name no host, or another one
	Listeners      []Listener
	Providers      map[string]*Provider // by name
	Accounts       map[string]*Account  // by name as written; a pattern has one for each mailbox

	// Unavailable holds a fault for each systemd credential and environment variable that
	// this process did not receive. Commands work without them. The daemon must not start.
	Unavailable Faults

	// Warnings holds problems that are not faults, sorted by line.
	Warnings []Fault
}

// Store configures how the state directory stores grants.
type Store struct {
	Encrypt bool // if false, grants are stored unencrypted, and Keys only decrypt
	Migrate bool // accept grants that are not encrypted, and encrypt them

	// Keys holds keys made by "xoauthd make-key", one per line, with blank lines and
	// comments. The first key encrypts, all keys decrypt. If it is empty, xoauthd creates
	// a key in the state directory.
	Keys Secret
}

// Log configures the log.
type Log struct {
	Level  string // "debug", "info", "warn" or "error"
	Format string // "text" or "json"
}

// Limits holds the limits of resources that clients use.
type Limits struct {
	Sessions           int           // maximum number of sessions
	SessionsPerAccount int           // maximum number of sessions of one account
	SessionsPerLogin   int           // maximum number of sessions of one login; 0: no limit
	SessionsPerAddress int           // maximum number of sessions from one remote address; 0: no limit
	QueueTimeout       time.Duration // maximum time a login waits for a free session
	LoginTimeout       time.Duration // maximum time from connect to authentication
	StepTimeout        time.Duration // maximum time of one command sent to an upstream
	IdleTimeout        time.Duration // maximum time without data in either direction of a relay
	DrainTimeout       time.Duration // maximum time that running sessions get at shutdown
}

// Web is the endpoint of the pages on which a person authorizes an account. Only this
// machine can reach it, because the pages require no login.
type Web struct {
	Endpoint
	PublicURL string // URL under which browsers reach the pages, without a trailing slash
}

// Metrics is the endpoint that Prometheus scrapes.
type Metrics struct {
	Endpoint
	Hosts []string // host names accepted in requests, besides IP addresses and localhost
}

// Protocols returns the protocols that listeners and upstreams can have.
func Protocols() []string { return []string{"imap", "smtp", "pop3"} }

// A Provider describes the mail servers of accounts, and how xoauthd obtains access
// tokens for them. Fields that its flow does not use are empty.
type Provider struct {
	Name   string
	Preset string    // empty: none
	Title  string    // display name; empty without a preset
	Flow   flow.Flow // how accounts obtain their upstream credentials

	// The client. It authenticates with a secret, a certificate or an assertion (RFC 7523
	// section 2.2), or is public (RFC 6749 section 2.1).
	ClientID                   string
	ClientSecret               Secret
	ClientSecretExpires        time.Time        // zero: unknown
	ClientCertificate          *tls.Certificate // with Leaf, and an RSA key; nil: none
	ClientCertificateAlgorithm string           // "PS256" or "RS256" (RFC 7518 section 3.1)
	ClientAssertionFile        string           // read for each token request, and possibly missing; empty: none
	AuthStyle                  string           // how the token endpoint receives the secret: "params" or "header"

	ServiceAccount      *ServiceAccount // nil unless Flow is flow.ServiceAccount
	TokenCommand        []string        // program and arguments; {account} stands for the mailbox
	TokenCommandTimeout time.Duration

	AuthorizationURL       string
	DeviceAuthorizationURL string // RFC 8628 section 3.1
	TokenURL               string
	RevocationURL          string // RFC 7009; empty: none
	Revocation             string // what revoking a token revokes: its "grant", or "all" grants of the user for this client
	RedirectURL            string // empty: neither redirect_url nor [web] is set
	Issuer                 string // RFC 9207; {tenantid} matches any id; empty: a response must not have iss
	RequireIss             bool   // a response must have iss
	IssDecided             bool   // RequireIss is set in the file; if not, the provider's metadata decide

	Scopes              []string
	AuthorizationParams map[string]string // extra parameters of the authorization URL
	Mechanism           string            // "auto", "xoauth2" or "oauthbearer"; for app passwords "auto", "plain" or "login"

	// Proxy is the URL of the outbound proxy for all connections to the provider, with its
	// password: http, https or socks5, with a port. "direct" means no proxy. If it is empty,
	// requests to the token endpoint use the proxy of the environment.
	Proxy Secret

	CAFile  string         // PEM file of additional trusted certificates; empty: none
	RootCAs *x509.CertPool // certificates of the system and of CAFile; nil: those of the system

	IMAP, SMTP, POP3 *Upstream // nil: none

	// SMTPAPI replaces the SMTP server; nil: SMTP is used. SMTP then has the host of the
	// API, and no other meaning.
	SMTPAPI *SendAPI

	// MessagesPerMinute limits the messages of an account through an API or from devices;
	// 0: no limit. More messages are delayed.
	MessagesPerMinute int
}

// Upstream returns the upstream server for protocol, or nil.
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

// A TLSMode says when a connection starts TLS (RFC 8314 section 3). The zero value stands
// for a missing or invalid mode, which is a fault.
type TLSMode string

// The TLS modes.
const (
	TLSNone     TLSMode = "none"
	TLSStartTLS TLSMode = "starttls"
	TLSImplicit TLSMode = "implicit" // TLS from the first byte
	TLSAuto     TLSMode = "auto"     // TLSStartTLS and TLSImplicit on one port
)

// An Upstream is a mail server of a provider. xoauthd always uses TLS to reach it.
type Upstream struct {
	Host string
	Port int
	TLS  TLSMode // TLSImplicit or TLSStartTLS

	Sessions int // maximum number of sessions of one account; 0: no limit
}

// Address returns host:port, with an IPv6 address in brackets.
func (u Upstream) Address() string {
	return net.JoinHostPort(u.Host, strconv.Itoa(u.Port))
}

// An Account is a mailbox, and the credentials with which clients log in to it.
type Account struct {
	Name         string // user name, for clients and at the provider
	Pattern      string // name of the pattern that yields the account, such as "*@example.com"; empty: none
	Provider     string // a name in Config.Providers
	PasswordHash string // for the user name Name; empty: only Logins can be used
	Logins       []Login
	Enabled      bool // if false, xoauthd keeps the grant and rejects logins
	Line         int  // in the file

	UpstreamPassword Secret   // for the flows flow.Password and flow.AppPassword
	IMAPUser         string   // user name at the IMAP upstream; empty: Name
	SMTPUser         string   // user name at the SMTP upstream; empty: Name
	POP3User         string   // user name at the POP3 upstream; empty: Name
	SharedMailboxes  []string // mailboxes that a client may name after its user name and \ or *; "*" alone: any
	LoginHint        string   // user who signs in at the provider: Name, or a delegate of the mailbox
}

// User returns the user name of the account at the upstream for protocol. The user
// names can differ: a client reads a shared mailbox under the name of the mailbox, but
// sends mail as one of its delegates.
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

// A Login is an additional user name and password of an account, for one program.
type Login struct {
	Label        string // its name in the log and the metrics
	User         string // may be the name of the account
	PasswordHash string
	Protocols    []string       // allowed protocols; empty: all
	Networks     []netip.Prefix // allowed client networks; empty: all
	Ends         time.Time      // expiry; zero: never
	Line         int            // in the file
}
