package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xoauthd/xoauthd/internal/testing/children"
)

// A scenario is one part of TestEndToEnd.
type scenario struct {
	name string
	run  func(*testing.T, *env)
}

// lanes is how many scenarios run at once. Most of them wait for something most of
// the time.
const lanes = 3

// TestEndToEnd runs the program as it is built: real clients with passwords log in to
// it, Dovecot and Postfix behind it require OAuth 2.0, and a person authorizes at a
// provider. Each scenario has a mailbox and a daemon of its own. Each lane has a
// provider and mail servers of its own, which its scenarios use one after the other,
// so that a scenario may stop them. The last scenario looks for secrets in everything
// that all daemons have said.
func TestEndToEnd(t *testing.T) {
	t.Parallel()
	requireAll(t)
	program := buildProgram(t)
	var envs []*env
	for range lanes {
		envs = append(envs, newEnv(t, program))
	}
	run := func(s scenario, e *env) {
		t.Run(s.name, func(t *testing.T) {
			children.Limit(t, scenarioTime)
			s.run(t, e)
		})
	}
	queue := make(chan scenario)
	var all sync.WaitGroup
	for _, e := range envs {
		all.Go(func() {
			for s := range queue {
				run(s, e)
			}
		})
	}
	for _, s := range scenarios() {
		queue <- s
	}
	close(queue)
	all.Wait()
	run(scenario{"no output contains a secret", func(t *testing.T, e *env) { testSecrets(t, envs) }}, envs[0])
}

// scenarios returns all scenarios but the last.
func scenarios() []scenario {
	return []scenario{
		// The longest ones are first, so that all lanes end at about the same time.
		{"guessing passwords does not block other clients", testGuesses},
		{"a revoked access token is replaced during login", testTokenRevoked},
		{"every listener mode accepts every mechanism", testListenerModes},
		{"a wrong password is reported as such", testWrongPassword},
		{"status, pages and metrics show a refusal of the mail server", testHealth},
		{"an app password logs in", testAppPassword},
		{"every client logs in with and without TLS", testClients},
		{"client credentials open the mailboxes of a pattern", testPattern},
		{"a stopping daemon finishes transactions", testDrain},
		{"a grant is revoked", testRevoke},
		{"a device code authorizes", testDevice},
		{"a killed daemon keeps its grant", testKill},
		{"the provider is reached through a proxy", testOutbound},

		{"mail arrives byte for byte", testMail},
		{"a message of 50 MB is sent and fetched", testLargeMessage},
		{"an appended message is fetched byte for byte", testAppend},
		{"pipelined commands are answered in order", testPipelining},
		{"IDLE wakes up when mail arrives", testIdle},
		{"COMPRESS is negotiated and works", testCompress},
		{"ENABLE and CONDSTORE work", testCondstore},
		{"every way to log in works", testWaysToLogIn},
		{"OAUTHBEARER works as XOAUTH2 does", testOAUTHBEARER},
		{"a hundred logins cause one refresh", testManyLogins},
		{"a token that ends is replaced", testShortTokens},

		{"before authorization the reply names the link", testNotAuthorized},
		{"a provider outage is a temporary failure", testProviderDown},
		{"a mail server outage is a temporary failure", testUpstreamDown},
		{"a withdrawn grant is authorized again", testGrantWithdrawn},
		{"a grant for another mailbox is not stored", testOtherMailbox},
		{"a smarthost client queues during an outage", testSmarthost},

		{"a token comes from a command", testCommand},
		{"a pasted address authorizes at the terminal", testTerminal},
		{"a service account impersonates the mailbox user", testServiceAccount},
		{"a refresh token is imported", testImport},
		{"a shared mailbox is opened by a delegate", testSharedMailbox},

		{"an old client connects with TLS 1.0", testOldTLS},
		{"a listener requires a client certificate", testClientCertificate},
		{"certificates are chosen by name and reloaded", testCertificates},
		{"a unix socket has its configured owner and mode", testUnixSocket},
		{"a listener accepts only some local users", testLocalUsers},
		{"a load balancer sends the PROXY protocol", testBalancer},
		{"an account has several logins", testLogins},
		{"the user name selects a shared mailbox", testNamedMailbox},
		{"sessions wait at a session limit", testQueue},

		{"mail is sent through Microsoft Graph", testSendAPI},
		{"mail is sent through the Gmail API", testSendGmail},
		{"Postfix in front of an API", testFrontPostfix},
		{"a kill during a delivery loses no message", testKillDelivery},
		{"devices send mail without a login", testDevices},

		{"a second daemon with the same state directory exits", testSecondDaemon},

		{"the metrics are those of the list", testMetricNames},
	}
}

// scenarioTime limits one scenario. The slowest takes less than a minute on an idle
// machine.
const scenarioTime = 5 * time.Minute

// requireAll ends the test where something is missing that it needs: it is
// skipped, unless XOAUTHD_E2E=required says that it must not be.
func requireAll(t *testing.T) {
	t.Helper()
	give := t.Skipf
	if os.Getenv("XOAUTHD_E2E") == "required" {
		give = t.Fatalf
	} else if testing.Short() {
		t.Skip("real servers and clients take minutes")
	}
	if os.Getuid() != 0 {
		give("the real servers are not tested: Postfix can be started by root only")
	}
	var missing []string
	if !exists("/usr/lib/sasl2/libplain.so", "/usr/lib64/sasl2/libplain.so", "/usr/lib/*/sasl2/libplain.so") {
		missing = append(missing, "libplain.so for Postfix to log in with")
	}
	if !exists("/usr/lib/dovecot/pop3", "/usr/libexec/dovecot/pop3") {
		missing = append(missing, "POP3 of Dovecot")
	}
	for _, library := range []string{nodemailer, phpMailer} {
		if !exists(library) {
			missing = append(missing, library)
		}
	}
	for _, program := range []string{"dovecot", "postfix", "curl", "msmtp", "swaks", "node", "php", "mbsync", "mpop", python, "fetchmail", "getmail", "openssl", "doveadm", "haproxy", "microsocks", "tinyproxy"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	if len(missing) > 0 {
		give("the real servers are not tested: there is no %s; .ci/install-packages installs what is missing",
			strings.Join(missing, ", no "))
	}
	if version := dovecotVersion(t); !slices.Contains(dovecotVersions, version) {
		give("the real servers are not tested: their configuration is for Dovecot %s, and this is %s",
			strings.Join(dovecotVersions, " and "), version)
	}
}

// exists reports whether there is a file of one of the patterns.
func exists(patterns ...string) bool {
	for _, pattern := range patterns {
		if files, err := filepath.Glob(pattern); err == nil && len(files) > 0 {
			return true
		}
	}
	return false
}

// must ends the test if err is not nil.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// contains ends the test unless text holds each of parts.
func contains(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Fatalf("%s: no %q in %s", what, part, shorten(text))
		}
	}
}

// shorten cuts text, which may be a message of 50 MB, for reading.
func shorten(text string) string {
	const most = 8 << 10
	if len(text) > most {
		return fmt.Sprintf("%q... (%d octets)", text[:most], len(text))
	}
	return fmt.Sprintf("%q", text)
}
