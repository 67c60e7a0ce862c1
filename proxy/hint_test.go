package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-smtp"

	"github.com/xoauthd/xoauthd/proxy/sasl"
)

// A throughProxy is an error with a hint of its own, as those of proxy/dial.
type throughProxy struct{ error }

func (e throughProxy) Unwrap() error { return e.error }
func (throughProxy) Hint() string    { return "check proxy" }

func TestHint(t *testing.T) {
	down := func(err error) error { return Fail(UpstreamDown, fmt.Errorf("connecting: %w", err)) }
	untrusted := func(err error) error { return down(&tls.CertificateVerificationError{Err: err}) }
	dial := func(err error) error { return down(&net.OpError{Op: "dial", Err: err}) }
	files := os.NewSyscallError("socket", syscall.EMFILE)
	slow := func(u *Upstream) error { return u.AsUnavailable(os.ErrDeadlineExceeded) }
	mechanism := func(wanted string, offered ...string) error {
		_, err := sasl.Choose(wanted, offered)
		return Fail(Misconfigured, fmt.Errorf("mechanism: %w", err))
	}
	for _, test := range []struct {
		name string
		err  error
		want string // a part; none if empty
	}{
		{"nothing", nil, ""},
		{"unknown", down(errors.New("what is this")), ""},
		{"wrong name", untrusted(x509.HostnameError{Host: "x", Certificate: &x509.Certificate{}}), "check host"},
		{"unknown authority", untrusted(x509.UnknownAuthorityError{}), "ca_file"},
		{"expired", untrusted(x509.CertificateInvalidError{Reason: x509.Expired}), "clock"},
		{"no TLS there", down(tls.RecordHeaderError{}), `tls = "starttls"`},
		{"TLS expected there", slow(&Upstream{STARTTLS: true}), `tls = "implicit"`},
		{"slow", slow(&Upstream{}), ""},
		{"no such host", dial(&net.DNSError{Name: "x"}), "DNS"},
		{"no server", dial(errors.New("refused")), "firewall"},
		{"no server, as dialled by others", &net.OpError{Op: "dial", Err: errors.New("refused")}, "firewall"},
		{"no descriptor", dial(files), "LimitNOFILE="},
		{"no descriptor, as dialled by others", &net.OpError{Op: "dial", Err: files}, "LimitNOFILE="},
		{"no descriptor for the lookup", dial(&net.DNSError{Err: "dial udp 192.0.2.1:53: socket: too many open files", Name: "x"}), "LimitNOFILE="},
		{"no descriptor for the proxy", down(throughProxy{&net.OpError{Op: "dial", Err: files}}), "LimitNOFILE="},
		{"a proxy that is not there", down(throughProxy{&net.OpError{Op: "dial", Err: errors.New("refused")}}), "check proxy"},
		{"no descriptor for the provider", Fail(ProviderDown, &net.OpError{Op: "dial", Err: files}), "LimitNOFILE="},
		{"no port", dial(os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)), "ip_local_port_range"},
		{"a server without descriptors", replied(&Upstream{}, UpstreamDown, "421 too many open files"), ""},
		{"connection lost", down(&net.OpError{Op: "read", Err: errors.New("reset")}), ""},
		{"the client's connection", asError(&net.OpError{Op: "dial", Err: errors.New("reset")}), ""},
		{"the provider's name", Fail(ProviderDown, &net.OpError{Op: "dial", Err: &net.DNSError{Name: "x"}}), ""},
		{"a person's matter", &Error{Result: NeedsAuthorization, Detail: "5.7.3", Err: io.EOF}, ""},
		{"token for a server of passwords", mechanism("auto", "PLAIN", "LOGIN"), `flow = "app_password"`},
		{"password for a server of tokens", mechanism("password", "XOAUTH2"), "needs a flow of OAuth"},
		{"the other token mechanism", mechanism("oauthbearer", "XOAUTH2", "PLAIN"), "take mechanism out"},
		{"the other password mechanism", mechanism("plain", "LOGIN", "XOAUTH2"), "take mechanism out"},
		{"no mechanism", mechanism("auto"), "port and tls"},
		{"go-smtp's error", &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 4, 5}, Message: "Daily user sending limit exceeded."}, "24 hours"},
		{"go-imap's error that is no refusal", &imap.Error{Type: "NO", Text: "no such mailbox"}, ""},
		{"go-imap's error", &imap.Error{Type: "NO", Code: "INUSE", Text: "locked"}, "let go"},
	} {
		if got := Hint(test.err); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// replied returns the error of a reply of u.
func replied(u *Upstream, result Result, reply string) error {
	return u.newError(result, upstreamReply{reply: reply}, errors.New(reply))
}

// TestKnownResponses checks the hints of replies of providers, by what was refused, and that
// the same replies of other servers have no hint about a provider.
func TestKnownResponses(t *testing.T) {
	const other, password = "another mailbox was chosen", "must be an app password"
	for _, test := range []struct {
		family          string
		reply           string
		token, password string // a part of each hint
	}{
		{Microsoft, "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information. [AM6P193CA0063.EURP193.PROD.OUTLOOK.COM]", "Set-TransportConfig", "Set-TransportConfig"},
		{Microsoft, "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information.", "this mailbox: an administrator of Microsoft 365 runs Set-CASMailbox", "Set-CASMailbox"},
		{Microsoft, "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy. Contact your administrator.", "security defaults", "security defaults"},
		{Microsoft, "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. Contact your administrator.", "sign-in log", "sign-in log"},
		{Microsoft, "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.", "presets microsoft", "presets microsoft"},
		{Microsoft, "535 5.7.139 Authentication unsuccessful", "Set-CASMailbox", "Set-CASMailbox"},
		{Microsoft, "535 5.7.3 Authentication unsuccessful [SJ0PR03CA0123.namprd03.prod.outlook.com]", "SMTP.SendAsApp", "presets microsoft"},
		{Microsoft, "530 5.7.57 Client not authenticated to send mail.", "log in before it sends", "log in before it sends"},
		{Microsoft, "550 5.7.30 Basic authentication is not supported for Client Submission.", "presets microsoft", "presets microsoft"},
		{Microsoft, "554 5.2.252 SendAsDenied; joe@example.com not allowed to send as ann@example.com", "-AccessRights SendAs", "-AccessRights SendAs"},
		{Microsoft, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", "-AccessRights SendAs", "-AccessRights SendAs"},
		{Microsoft, "430 4.2.0 STOREDRV; mailbox logon failure", "Add-MailboxPermission", "Add-MailboxPermission"},
		{Microsoft, "501 5.5.127 Invalid XOAUTH2 auth data - Token will expire soon", "ten minutes", "ten minutes"},
		{Microsoft, "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information.", "three submissions", "three submissions"},
		{Microsoft, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", "three submissions", "three submissions"},
		{Microsoft, "BAD Request is throttled. Suggested Backoff Time: 299962 milliseconds", "less often", "less often"},
		{Microsoft, "BAD User is authenticated but not connected.", "Add-MailboxPermission", "ImapEnabled"},
		{Microsoft, "NO AUTHENTICATE failed.", "New-ServicePrincipal", "presets microsoft"},
		{Microsoft, "-ERR Authentication failure: unknown user name or bad password.", "POP.AccessAsApp", "presets microsoft"},
		{Microsoft, "-ERR Command is not valid in this state.", "PopEnabled", "PopEnabled"},
		{Microsoft, "NO LOGIN failed.", other, "presets microsoft"},
		{Google, "535 5.7.8 Username and Password not accepted. For more information, go to https://support.google.com/mail/?p=BadCredentials x - gsmtp", "https://mail.google.com/", password},
		{Google, "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", "https://mail.google.com/", password},
		{Google, "534 5.7.9 Application-specific password required. For more information, go to https://support.google.com/mail/?p=InvalidSecondFactor x - gsmtp", "apppasswords", "apppasswords"},
		{Google, "NO [ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833 (Failure)", "apppasswords", "apppasswords"},
		{Google, "NO [WEBALERT https://accounts.google.com/signin/continue?x] Web login required.", "confirm there", "confirm there"},
		{Google, "534 5.7.14 <https://accounts.google.com/signin/continue?x> Please log in via your web browser and then try again.", "confirm there", "confirm there"},
		{Google, "NO [ALERT] Too many simultaneous connections. (Failure)", "15 IMAP connections", "15 IMAP connections"},
		{Google, "NO [ALERT] Account exceeded command or bandwidth limits. (Failure)", "24 hours", "24 hours"},
		{Google, "550 5.4.5 Daily user sending limit exceeded.", "24 hours", "24 hours"},
		{Google, "NO [ALERT] Your account is not enabled for IMAP use. Please visit your Gmail settings page and enable your account for IMAP access. (Failure)", "Have IMAP enabled", "Have IMAP enabled"},
		{Google, "NO [ALERT] IMAP access is disabled for your domain. Please contact your domain administrator for questions about this feature. (Failure)", "Have IMAP enabled", "Have IMAP enabled"},
		{Yahoo, "535 5.7.0 (#AUTH005) Too many bad auth attempts.", "wait an hour", "wait an hour"},
		{Yahoo, "NO [AUTHENTICATIONFAILED] AUTHENTICATE Invalid credentials", "mail-w", password},
		{"", "NO [LIMIT] LOGIN Rate limit hit.", "less often", "less often"},
		{"", "NO [INUSE] locked", "let go", "let go"},
		{"", "-ERR [IN-USE] Mailbox is locked by another POP3 session", "let go", "let go"},
		{"", "-ERR [LOGIN-DELAY] wait", "more time between", "more time between"},
		{Google, "-ERR [AUTH] Web login required: https://support.google.com/mail/answer/78754", "confirm there", "confirm there"},
		{Google, "-ERR [AUTH] Application-specific password required: https://support.google.com/accounts/answer/185833", "apppasswords", "apppasswords"},
		{Google, "-ERR [AUTH] Username and password not accepted.", "https://mail.google.com/", password},
		{Google, "-ERR [AUTH] Invalid credentials", "https://mail.google.com/", password},
		{Google, "-ERR [SYS/PERM] Your account is not enabled for POP access. Please visit your Gmail settings page and enable your account for POP access.", "Have POP enabled", "Have POP enabled"},
		{Google, "-ERR [SYS/PERM] POP access is disabled for your domain. Please contact your domain administrator for questions about this feature.", "Have POP enabled", "Have POP enabled"},
		{"", "NO [EXPIRED] That password isn't the correct one.", other, "expired"},
		{"", "NO [AUTHENTICATIONFAILED] Authentication failed", other, password},
		{"", "535", other, password},
	} {
		for mechanism, want := range map[string]string{"auto": test.token, "password": test.password} {
			refused := func(family string) string {
				return Hint(replied(&Upstream{Family: family, Mechanism: mechanism}, UpstreamRefused, test.reply))
			}
			if got := refused(test.family); !strings.Contains(got, want) {
				t.Errorf("%s, %s: %q, want %q", test.reply, mechanism, got, want)
			}
			for _, word := range []string{"Microsoft", "Google", "Gmail", "Yahoo", "Exchange", "365", "Set-", "Add-", "Apple", "iCloud"} {
				if got := refused(""); strings.Contains(got, word) {
					t.Errorf("%s, %s, of any server: %q", test.reply, mechanism, got)
				}
			}
		}
	}
	for _, test := range []struct {
		upstream *Upstream
		result   Result
		reply    string
		want     string // a part; none if empty
	}{
		{&Upstream{Mechanism: "password", Family: Apple}, UpstreamRefused, "NO [AUTHENTICATIONFAILED] Authentication failed", "account.apple.com"},
		{&Upstream{WithoutConsent: true}, UpstreamRefused, "NO LOGIN failed.", "application has no right"},
		// A temporary failure does not refuse a token or a password.
		{&Upstream{Family: Microsoft}, UpstreamDown, "454 4.7.0 Temporary authentication failure", ""},
		{&Upstream{Family: Google}, UpstreamDown, "NO [ALERT] Too many simultaneous connections. (Failure)", "15 IMAP"},
	} {
		if got := Hint(replied(test.upstream, test.result, test.reply)); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%s: %q, want %q", test.reply, got, test.want)
		}
	}
}

// TestUnlockLink checks that the hint has the link with which Google unlocks a login, and no
// link of another server.
func TestUnlockLink(t *testing.T) {
	const link = "https://accounts.google.com/signin/continue?sarp=1&scc=1&plt=AKgnsbtQ_9-x"
	for _, reply := range []string{
		"NO [WEBALERT " + link + "] Web login required.",
		"NO [ALERT] Please log in via your web browser: https://support.google.com/mail/accounts/answer/78754 (Failure); Web login required. WEBALERT " + link,
		"534 5.7.14 <" + link[:60] + " " + link[60:] + "> Please log in via your web browser and then try again.",
	} {
		refused := func(family string) string {
			return Hint(replied(&Upstream{Family: family}, UpstreamRefused, reply))
		}
		if got := refused(Google); !strings.HasSuffix(got, "confirm there that it was you. Open this address: "+link) {
			t.Errorf("%s: %q", reply, got)
		}
		if got := refused(""); strings.Contains(got, "https://") {
			t.Errorf("%s, of any server: %q", reply, got)
		}
	}
}

// TestKnownResponsesTable checks that the table can be read, and that each match can be
// found: it is in lower case, and no earlier entry has all of its replies.
func TestKnownResponsesTable(t *testing.T) {
	var table struct{ Response []knownResponse }
	meta, err := toml.Decode(knownResponsesTOML, &table)
	if err != nil || len(meta.Undecoded()) > 0 || len(table.Response) < 30 {
		t.Fatalf("%d entries, unknown keys %v, %v", len(table.Response), meta.Undecoded(), err)
	}
	servers := []string{"", Google, Microsoft, Yahoo, Apple}
	for i, known := range table.Response {
		if !strings.HasSuffix(known.Hint, ".") || len(known.Hint) > 350 || len(known.Match) == 0 || !slices.Contains(servers, known.Server) {
			t.Errorf("incomplete, or the hint is too long: %+v", known)
		}
		for _, c := range known.Credentials {
			if c != "token" && c != "application" && c != "password" {
				t.Errorf("credentials %q", c)
			}
		}
		for _, match := range known.Match {
			if match != strings.ToLower(match) {
				t.Errorf("not in lower case: %q", match)
			}
			code, text := splitCode(match)
			reply := "x " + code + " " + text
			for _, credential := range append(slices.Clone(known.Credentials), "any")[:max(1, len(known.Credentials))] {
				if first := slices.IndexFunc(table.Response, func(k knownResponse) bool { return k.matches(known.Server, credential, reply) }); first != i {
					t.Errorf("%q of entry %d is never found: entry %d comes first", match, i, first)
				}
			}
		}
	}
}
