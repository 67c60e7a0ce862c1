package gateway

import (
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"
)

func addressesOf(s string) (all []string) {
	for _, m := range parseList(s) {
		for _, a := range m.addresses {
			all = append(all, a.String())
		}
	}
	return all
}

func TestParseList(t *testing.T) {
	tests := []struct{ list, want string }{
		{"", ""},
		{"ann@x.example", "ann@x.example"},
		{"Ann <ann@x.example>, bob@x.example", "ann@x.example bob@x.example"},
		{`"Smith, Ann" <ann@x.example>`, "ann@x.example"},
		{`"a, <evil@x.example>" <ann@x.example>`, "ann@x.example"},
		{`"a \" <evil@x.example>" <ann@x.example>`, "ann@x.example"},
		{"(evil@x.example) ann@x.example (a (nested) \\) one)", "ann@x.example"},
		{"<ann(evil@y.example)@x.example>", "ann@x.example"},
		{"Group: ann@x.example, Bob <bob@x.example>;, c@x.example", "ann@x.example bob@x.example c@x.example"},
		{"undisclosed-recipients:;", ""},
		{`"a:b": ann@x.example;`, "ann@x.example"},
		{"A <ann@x.example>; B <bob@x.example>", "ann@x.example bob@x.example"},
		{"ann@x.example bob@x.example", "ann@x.example bob@x.example"},
		{"ann @ x . example", "ann@x.example"},
		{"<@r.example,@s.example:ann@x.example>", "ann@x.example"},
		{`"ann smith"@x.example`, `"ann smith"@x.example`},
		{`<"a@b"@x.example>`, `"a@b"@x.example`},
		{`"a.b"@x.example`, "a.b@x.example"},
		{"ann@[192.0.2.1], bob@[IPv6:2001:db8::1]", "ann@[192.0.2.1] bob@[IPv6:2001:db8::1]"},
		{"ann@bücher.example", "ann@xn--bcher-kva.example"},
		{"Ann", ""},
		{"=?utf-8?Q?ann@x.example?=", ""},
		{"=?utf-8?Q?Smith,_Ann?= <ann@x.example>", "ann@x.example"},
		{`"unclosed <ann@x.example>, bob@x.example`, "ann@x.example bob@x.example"},
		{"(unclosed ann@x.example", "ann@x.example"},
		{"<ann@x.example, bob@x.example", "ann@x.example bob@x.example"},
		{"ann@x.example <ann@x.example>", "ann@x.example"},
		{"Ann\r\n <ann@x.example>,\r\n\tbob@x.example", "ann@x.example bob@x.example"},
		{",,ann@x.example,;,", "ann@x.example"},
		{"ann%evil.example@x.example", "ann%evil.example@x.example"},
		{"=?u?q?x?=@evil.example, a@x.example", "=?u?q?x?=@evil.example a@x.example"},
		{"=?u?q?x?= @ evil.example", "=?u?q?x?=@evil.example"},
		{"=?u?x@evil.example", "=?u?x@evil.example"},
		{"<ann@x.example> <evil@z.example>", "ann@x.example evil@z.example"},
		{"Ann <ann@x.example> Eve <evil@z.example>", "ann@x.example evil@z.example"},
		{"<ann@x.example <evil@z.example>", "ann@x.example evil@z.example"},
		{"<<ann@x.example>>", "ann@x.example"},
		{"<ann@x.example> evil@z.example", "ann@x.example evil@z.example"},
		{"<@r.example,evil@z.example,ann@x.example>", `"@r.example,evil@z.example,ann"@x.example`},
		{"<ann@x.example> (evil@z.example)", "ann@x.example"},
	}
	for _, test := range tests {
		if got := strings.Join(addressesOf(test.list), " "); got != test.want {
			t.Errorf("parseList(%q) = %q, want %q", test.list, got, test.want)
		}
	}
}

func TestParsePath(t *testing.T) {
	tests := []struct{ command, want string }{
		{"RCPT TO:<ann@x.example>", "ann@x.example"},
		{"RCPT TO: <ann@x.example> NOTIFY=NEVER", "ann@x.example"},
		{"RCPT TO:ann@x.example", "ann@x.example"},
		{"RCPT TO:ann@x.example NOTIFY=NEVER", "ann@x.example"},
		{"RCPT TO:<@r.example,@s.example:ann@x.example>", "ann@x.example"},
		{`RCPT TO:<"a b"@x.example>`, `"a b"@x.example`},
		{`RCPT TO:<"a>b"@x.example>`, `"a>b"@x.example`},
		{`RCPT TO:<"a\"b"@x.example>`, `"a\"b"@x.example`},
		{"RCPT TO:<ann@bücher.example>", "ann@xn--bcher-kva.example"},
		{"RCPT TO:<ann@[192.0.2.1]>", "ann@[192.0.2.1]"},
		{"RCPT TO:<ann%y.example@x.example>", "ann%y.example@x.example"},
		{"MAIL FROM:<>", "null"},
		{"RCPT TO:<ann>", "error"},
		{"RCPT TO:<ann@>", "error"},
		{"RCPT TO:<@x.example>", "error"},
		{"RCPT TO:<ann@x.example", "error"},
		{"RCPT TO:<änn@x.example>", "error"},
		{"RCPT TO:<ann@x.example,bob@y.example>", "error"},
		{"RCPT TO:<ann@x.example\r\nBcc: bob@y.example>", "error"},
		{"RCPT TO:<\"a\r\nBcc: b\"@y.example>", `"aBcc: b"@y.example`},
		{"RCPT TO:<\"a\x00\"@y.example>", "error"},
		{"RCPT TO:<ann@x.example;bob>", "error"},
		{"RCPT TO:<ann@x example>", "error"},
		{"RCPT TO:<ann@x.example@y.example>", "error"},
		{"RCPT TO:<a..n@x.example>", `"a..n"@x.example`},
		{"RCPT TO", "error"},
	}
	for _, test := range tests {
		a, null, err := parsePath(test.command)
		got := a.String()
		if null {
			got = "null"
		} else if err != nil {
			got = "error"
		}
		if got != test.want {
			t.Errorf("parsePath(%q) = %q, %v, want %q", test.command, got, err, test.want)
		}
	}
}

func FuzzParseList(f *testing.F) {
	for _, s := range corpus(f) {
		for _, h := range newHeader([]byte(s.content)).fields {
			f.Add(h.body([]byte(s.content)))
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := parseList(s)
		end := 0
		for _, m := range got {
			if m.start < end || m.end < m.start || m.end > len(s) {
				t.Fatalf("places of %q: %+v", s, got)
			}
			end = m.end
		}
		list, err := mail.ParseAddressList(s)
		if err != nil || strings.Contains(s, "=?") {
			return
		}
		var want []string
		for _, a := range list {
			want = append(want, key(a.Address))
		}
		var have []string
		for _, m := range got {
			for _, a := range m.addresses {
				have = append(have, a.key())
			}
		}
		if !slices.Equal(have, want) {
			t.Errorf("parseList(%q) = %q, net/mail has %q", s, have, want)
		}
	})
}

// key returns the key of an address that net/mail has unquoted.
func key(s string) string {
	i := strings.LastIndexByte(s, '@')
	return address{s[:i], s[i+1:]}.key()
}

// envelope parses addresses as RCPT has them.
func envelope(t testing.TB, list ...string) (all []address) {
	for _, s := range list {
		a, _, err := parsePath("RCPT TO:<" + s + ">")
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		all = append(all, a)
	}
	return all
}

func TestSetRecipients(t *testing.T) {
	const a, b, c = "a@x.example", "b@x.example", "c@x.example"
	tests := []struct {
		name     string
		header   string
		to       []string
		policy   HeaderRecipients
		want     string // the header, or the error
		mistaken bool
	}{
		{"all are named", "To: a@x.example\r\nCC: b@X.example\r\n", []string{a, b}, RefuseMessage, "To: a@x.example\r\nCC: b@X.example\r\n", false},
		{"one is hidden", "To: a@x.example\r\n", []string{a, b}, RefuseMessage, "Bcc: b@x.example\r\nTo: a@x.example\r\n", false},
		{"a substring is not named", "To: aa@x.example\r\n", []string{"aa@x.example", a}, RefuseMessage, "Bcc: a@x.example\r\nTo: aa@x.example\r\n", false},
		{"a name is no address", "To: \"a@x.example\" <b@x.example>\r\n", []string{a, b}, RefuseMessage, "Bcc: a@x.example\r\nTo: \"a@x.example\" <b@x.example>\r\n", false},
		{"a recipient is repeated", "To: a@x.example\r\n", []string{a, b, "B@x.example"}, RefuseMessage, "Bcc: b@x.example\r\nTo: a@x.example\r\n", false},
		{"To is not in the envelope", "To: a@x.example, Bob <b@x.example>\r\n", []string{a}, RefuseMessage,
			"the To field names b@x.example, which is not a recipient of this message", true},
		{"Cc is not in the envelope", "Cc: c@x.example\r\n", []string{a}, RefuseMessage, "the Cc field names c@x.example, which is not a recipient of this message", true},
		{"Bcc is not in the envelope", "Bcc: c@x.example\r\n", []string{a}, RefuseMessage, "the Bcc field names c@x.example, which is not a recipient of this message", true},
		{"a second To is not in the envelope", "To: a@x.example\r\nTo: c@x.example\r\n", []string{a}, RefuseMessage,
			"the To field names c@x.example, which is not a recipient of this message", true},
		{"behind a malformed line too", "To: a@x.example\r\n???\r\nCc: c@x.example\r\n", []string{a}, RefuseMessage,
			"the Cc field names c@x.example, which is not a recipient of this message", true},
		{"deliver", "To: a@x.example, b@x.example\r\n", []string{a}, DeliverToThem, "To: a@x.example, b@x.example\r\n", false},
		{"deliver and add", "To: b@x.example\r\n", []string{a}, DeliverToThem, "Bcc: a@x.example\r\nTo: b@x.example\r\n", false},
		{"drop", "To: Ann <a@x.example>, Bob (x) <b@x.example>, c@x.example\r\n", []string{a, c}, DropFromTheField,
			"To: Ann <a@x.example>,\r\n c@x.example\r\n", false},
		{"drop all", "Subject: x\r\nTo: b@x.example\r\nDate: y\r\n", []string{a}, DropFromTheField, "Bcc: a@x.example\r\nSubject: x\r\nDate: y\r\n", false},
		{"drop from a group", "To: G: a@x.example, b@x.example;\r\n", []string{a}, DropFromTheField, "To: a@x.example\r\n", false},
		{"drop from Bcc", "Bcc: a@x.example, b@x.example\r\nTo: c@x.example\r\n", []string{a, c}, DropFromTheField, "Bcc: a@x.example\r\nTo: c@x.example\r\n", false},
		{"drop all from Bcc", "Bcc: b@x.example\r\nTo: c@x.example\r\n", []string{c}, DropFromTheField, "To: c@x.example\r\n", false},
		{"drop without a separator", "To: a@x.example b@x.example\r\n", []string{a}, DropFromTheField, "Bcc: a@x.example\r\nTo: a@x.example\r\n", false},
		{"other fields are not recipients", "To: a@x.example\r\nReply-To: b@x.example\r\nResent-To: b@x.example\r\nApparently-To: b@x.example\r\n", []string{a}, RefuseMessage,
			"To: a@x.example\r\nReply-To: b@x.example\r\nResent-To: b@x.example\r\nApparently-To: b@x.example\r\n", false},
		{"quotes do not matter", "To: \"a\"@x.example\r\n", []string{a}, RefuseMessage, "To: \"a\"@x.example\r\n", false},
		{"IDN", "To: a@bücher.example\r\n", []string{"a@XN--bcher-kva.example"}, RefuseMessage, "To: a@bücher.example\r\n", false},
		{"like an encoded word", "To: =?u?q?x?=@z.example, a@x.example\r\n", []string{a}, RefuseMessage,
			"the To field names =?u?q?x?=@z.example, which is not a recipient of this message", true},
		{"an encoded word for a strict parser", "To: =?u?q?b@z.example?=, a@x.example\r\n", []string{a}, RefuseMessage,
			"the To field names =?u?q?b@z.example?=, which is not a recipient of this message", true},
		{"drop what only a strict parser finds", "To: =?u?q?b@z.example?=, a@x.example\r\n", []string{a}, DropFromTheField, "To: a@x.example\r\n", false},
		{"a second bracket", "To: <a@x.example> <b@x.example>\r\n", []string{a}, RefuseMessage,
			"the To field names b@x.example, which is not a recipient of this message", true},
		{"drop a second bracket", "To: A <a@x.example> B <b@x.example>\r\n", []string{b}, DropFromTheField, "Bcc: b@x.example\r\nTo: <b@x.example>\r\n", false},
		{"percent hack", "To: a@x.example\r\n", []string{"a%y.example@x.example", a}, RefuseMessage, "Bcc: a%y.example@x.example\r\nTo: a@x.example\r\n", false},
	}
	for _, test := range tests {
		h := newHeader([]byte(test.header))
		err := h.setRecipients(envelope(t, test.to...), test.policy)
		got := string(h.bytes())
		if err != nil {
			got = err.Error()
		}
		if got != test.want || (err != nil) != test.mistaken {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestRewriteSender(t *testing.T) {
	tests := []struct{ name, header, want string }{
		{"address", "From: scan@device.example\r\nTo: a@x.example\r\n", "Reply-To: scan@device.example\r\nFrom: joe@example.com\r\nTo: a@x.example\r\n"},
		{"name", "From: \"Scanner 3\" <scan@device.example>\r\n", "Reply-To: \"Scanner 3\" <scan@device.example>\r\nFrom: \"Scanner 3\" <joe@example.com>\r\n"},
		{"own address", "From: Joe <JOE@Example.com>\r\nSubject: x\r\n", "From: Joe <JOE@Example.com>\r\nSubject: x\r\n"},
		{"Reply-To is there", "Reply-To: boss@x.example\r\nFrom: scan@device.example\r\n", "From: joe@example.com\r\nReply-To: boss@x.example\r\n"},
		{"no From", "Subject: x\r\n", "From: joe@example.com\r\nSubject: x\r\n"},
		{"no address", "From: Scanner\r\n", "From: joe@example.com\r\n"},
		{"two addresses", "From: a@x.example, b@x.example\r\n", "Reply-To: a@x.example, b@x.example\r\nFrom: joe@example.com\r\n"},
		{"two fields", "From: joe@example.com\r\nFrom: evil@x.example\r\n", "Reply-To: joe@example.com\r\nFrom: joe@example.com\r\n"},
		{"two brackets", "From: <joe@example.com> <boss@example.com>\r\n", "Reply-To: <joe@example.com> <boss@example.com>\r\nFrom: joe@example.com\r\n"},
		{"an address behind brackets", "From: <joe@example.com> boss@example.com\r\n", "Reply-To: <joe@example.com> boss@example.com\r\nFrom: joe@example.com\r\n"},
		{"Sender", "Sender: evil@x.example\r\nFrom: joe@example.com\r\n", "From: joe@example.com\r\n"},
	}
	for _, test := range tests {
		h := newHeader([]byte(test.header))
		h.rewriteSender(mailboxName)
		if got := string(h.bytes()); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestHiddenHeader sends messages whose recipients or Bcc other programs could see and the
// gateway does not.
func TestHiddenHeader(t *testing.T) {
	for _, test := range []struct{ head, want string }{
		{"To: ann@example.net\r\nSubject: x\rTo: evil@example.org\r\n", "554 5.6.0 a line of the header contains CR"},
		{"To: ann@example.net\r\nSubject: x\r\rTo: evil@example.org\r\n", "554 5.6.0 a line of the header contains CR"},
		{"To: ann@example.net\r\nSubject: x\r\r\n", "250 "},
		{"\ufeffFrom: joe@example.com\r\nTo: ann@example.net\r\nBcc: ann@example.net\r\n", "554 5.6.0 the first line is no header field"},
		{" From: joe@example.com\r\nbcc : ann@example.net\r\n", "554 5.6.0 the first line is no header field"},
		{"\ufeffBcc: ann@example.net\r\n", "554 5.6.0 the first line is no header field"},
		{"\ufeffFrom: joe@example.com\r\nBcc:\r\n ann@example.net\r\n", "554 5.6.0 the first line is no header field"},
		{"\ufeffFrom: joe@example.com\rCc: ann@example.net\r\n", "554 5.6.0 the first line is no header field"},
		{"A body only\r\nfrom: the sensor, to: nobody\r\n", "250 "},
		{"A body only\r\nto: nobody\r\n", "250 "},
		{"A body only\r\n\r\nTo: evil@example.org\r\n", "250 "},
	} {
		f, d, c := newDevice(t, &Device{})
		c.say("HELO device", "250")
		if got := c.transmit(test.head+"\r\nx\rTo: evil@example.org\r\n", "ann@example.net"); !strings.HasPrefix(got, test.want) {
			t.Errorf("%q: %s, want %s", test.head, got, test.want)
		}
		if refused := strings.HasPrefix(test.want, "554"); refused != (len(d.messages()) == 0) || refused != (f.last(t).Result.Kind == MessageRefused) {
			t.Errorf("%q: %d messages, %+v", test.head, len(d.messages()), f.last(t))
		}
	}
}

func TestAddMissing(t *testing.T) {
	at := time.Date(2026, 11, 30, 1, 2, 3, 0, time.UTC)
	h := newHeader([]byte("Subject: x\r\n"))
	h.addMissing(mailboxName, at)
	got := string(h.bytes())
	if !strings.HasPrefix(got, "Message-ID: <") && !strings.Contains(got, "@example.com>\r\n") {
		t.Errorf("Message-ID: %q", got)
	}
	if !strings.Contains(got, "Date: Mon, 30 Nov 2026 01:02:03 +0000\r\n") || !strings.HasSuffix(got, "Subject: x\r\n") {
		t.Errorf("Date: %q", got)
	}
	const complete = "DATE: yesterday\r\nMessage-Id: <1@x>\r\n"
	h = newHeader([]byte(complete))
	h.addMissing(mailboxName, at)
	if got := string(h.bytes()); got != complete {
		t.Errorf("nothing is missing: %q", got)
	}
}

// FuzzRewrite checks that whatever the message and the envelope are, the bytes outside of
// the recipient fields do not change, and that each recipient is named in the end.
func FuzzRewrite(f *testing.F) {
	for _, s := range corpus(f) {
		f.Add([]byte(s.content), "zed@example.org", 0)
		f.Add([]byte(s.content), s.to[0], 2)
	}
	f.Fuzz(func(t *testing.T, content []byte, to string, policy int) {
		a, null, err := parsePath("RCPT TO:<" + to + ">")
		if err != nil || null || a == (address{}) {
			return
		}
		h := newHeader(content)
		before := string(content[:len(h.b)])
		if err := h.setRecipients([]address{a}, HeaderRecipients(uint(policy)%3)); err != nil {
			if string(h.b) != before {
				t.Fatal("a refused message changed")
			}
			return
		}
		got := h.bytes()
		after := newHeader(got)
		if a, b := others(newHeader(content)), others(after); a != b && len(h.fields) > 0 {
			t.Fatalf("other fields changed:\n%q\nwere\n%q", b, a)
		}
		named := false
		for _, name := range recipientFields {
			for _, f := range after.all(name) {
				for _, m := range parseList(f.body(got)) {
					for _, b := range m.addresses {
						named = named || b.key() == a.key()
					}
				}
			}
		}
		if !named {
			t.Fatalf("%s is named nowhere in %q", a, got)
		}
	})
}

// others returns a header section without its recipient fields.
func others(h *header) string {
	var out strings.Builder
	done := 0
	for _, f := range h.fields {
		if slices.Contains(recipientFields, f.name) {
			out.Write(h.b[done:f.start])
			done = f.end
		}
	}
	out.Write(h.b[done:])
	return out.String()
}
