package proxy

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unicode"

	"github.com/xoauthd/xoauthd/proxy/wire"
)

// constants returns the values of the constants of type Result.
func constants(t *testing.T) (all []Result) {
	file, err := parser.ParseFile(token.NewFileSet(), "result.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == "Result" {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, Result(value))
		}
		return true
	})
	return all
}

// TestAnswers checks that each result has an answer, and that the results that a client must
// distinguish have different codes.
func TestAnswers(t *testing.T) {
	all := constants(t)
	if len(all) != len(answers)+1 {
		t.Errorf("%d results, %d answers and OK", len(all), len(answers))
	}
	for _, r := range all {
		a, ok := answers[r]
		if r == OK {
			continue
		}
		if !ok || a.imap == "" || a.text == "" {
			t.Errorf("%s: %+v", r, a)
		}
		code, enhanced, _ := strings.Cut(a.smtp, " ")
		if len(code) != 3 || !strings.HasPrefix(enhanced, code[:1]+".") {
			t.Errorf("%s: %q is not a reply code and an enhanced code of the same class", r, a.smtp)
		}
		if permanent := code[0] == '5'; permanent != (r == BadCredentials || r == Violation) {
			t.Errorf("%s: wrong class for an MTA: %s", r, a.smtp)
		}
		if wrong := a.imap == "AUTHENTICATIONFAILED"; wrong != (r == BadCredentials) {
			t.Errorf("%s: wrong code for a mail program: %s", r, a.imap)
		}
		if wrong := a.pop3 == "AUTH"; a.pop3 == "" || wrong != (r == BadCredentials) {
			t.Errorf("%s: wrong code for a mail program: %q", r, a.pop3)
		}
	}
	imap, smtp := map[string]Result{}, map[string]Result{}
	for _, r := range []Result{BadCredentials, NeedsAuthorization, ProviderDown, UpstreamRefused, TooManySessions} {
		if other, ok := imap[string(answers[r].imap)]; ok {
			t.Errorf("%s and %s are the same in IMAP", r, other)
		}
		if other, ok := smtp[answers[r].smtp]; ok {
			t.Errorf("%s and %s are the same in SMTP", r, other)
		}
		imap[string(answers[r].imap)], smtp[answers[r].smtp] = r, r
	}
}

func TestFailure(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want Result
	}{
		{"an Error", Fail(UpstreamDown, io.EOF), UpstreamDown},
		{"a wrapped Error", fmt.Errorf("x: %w", Fail(ProviderDown, io.EOF)), ProviderDown},
		{"the outer of two", Fail(Stopping, Fail(UpstreamDown, io.EOF)), Stopping},
		{"a protocol violation", fmt.Errorf("x: %w", wire.ErrLineTooLong), Violation},
		{"a failed handshake", fmt.Errorf("x: %w", &wire.TLSError{Reason: "x", Err: io.EOF}), TLSFailed},
		{"interrupted", wire.ErrInterrupted, Stopping},
		{"a timeout", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, TimedOut},
		{"closed by the client", io.EOF, NoLogin},
		{"closed within a line", io.ErrUnexpectedEOF, NoLogin},
		{"reset", &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, NoLogin},
		{"closed by the server", &net.OpError{Op: "read", Err: net.ErrClosed}, NoLogin},
		{"something else", errors.New("x"), Internal},
	} {
		if got := asError(test.err); got.Result != test.want {
			t.Errorf("%s: %s", test.name, got.Result)
		}
	}
}

func TestErrorWords(t *testing.T) {
	long := &Error{Result: UpstreamRefused, Detail: strings.Repeat("ü", 400), Err: io.EOF}
	if text := long.text(); len(text) > 400 || strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII }) || !strings.HasSuffix(text, "?...") {
		t.Errorf("%q", text)
	}
	if text := (&Error{Result: UpstreamDown, Detail: "a\r\nb\x00c"}).text(); !strings.HasSuffix(text, "try again later: a b c") {
		t.Errorf("%q", text)
	}
	if e := (&Error{Result: UpstreamDown, Detail: "busy"}); e.Error() != "busy" {
		t.Errorf("%q", e)
	}
}

// TestAnswersDocumented checks that docs/replies.md and the manual have the codes of the table.
func TestAnswersDocumented(t *testing.T) {
	replies, err := os.ReadFile("../docs/replies.md")
	if err != nil {
		t.Fatal(err)
	}
	manual, err := os.ReadFile("../man/xoauthd.8")
	if err != nil {
		t.Fatal(err)
	}
	for r, a := range answers {
		told := r != NoLogin && r != IncompleteLogin
		entry := ".It Li " + string(r) + "\n"
		if _, text, ok := strings.Cut(string(manual), entry); !ok {
			t.Errorf("the manual does not have %s", r)
		} else if text, _, _ = strings.Cut(text, "\n.It"); told && !strings.Contains(text, ".Bq "+string(a.imap)+" ,\n") {
			t.Errorf("the manual has, for %s: %s", r, text)
		} else if _, enhanced, _ := strings.Cut(a.smtp, "."); told && !strings.Contains(text, enhanced+",\n.Bq "+a.pop3+" .") {
			t.Errorf("the manual has, for %s: %s", r, text)
		}
		for line := range strings.Lines(string(replies)) {
			if strings.HasPrefix(line, "| ") && strings.Contains(line, "| `"+string(r)+"` |") &&
				!strings.HasSuffix(line, fmt.Sprintf("| `[%s]` | %s | `[%s]` |\n", a.imap, a.smtp, a.pop3)) {
				t.Errorf("docs/replies.md has, for %s: %s", r, line)
			}
		}
	}
}
